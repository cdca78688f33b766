import { sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { NodeRun } from "../../src/domain/execution.ts";
import { ExecutionReader } from "../../src/storage/execution-reader.ts";
import { createTenant, json, nodeRun, openStores, readJournal, type Stores, type Tenant } from "./fixture.ts";
import { recordStatements } from "./statements.ts";

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

const output = json(JSON.stringify(`"path":"9" ${"x".repeat(100_000)}`));

function largeRun(path: string): NodeRun {
  return { ...nodeRun(path), node_id: path.replace(/^.*\/|\[.*/g, ""), output };
}

/** An execution with a Group, a node to a flush, as this version keeps it or as earlier ones did. */
async function record({ hasHeads }: { readonly hasHeads: boolean }) {
  const execution = tenant.newExecution();
  const { id: executionId, organizationId, environmentId } = execution;
  const claim = { organizationId, environmentId, executionId, owner: "a", epoch: 1 };
  await stores.executions.begin(execution, { owner: "a" });
  const iterations = Array.from({ length: 70 }, (_, index) => [`4[${index}]/7`, `4[${index}]`]).flat();
  for (const [flushIndex, path] of ["1", ...iterations, "4", "5"].entries()) {
    await stores.executions.append({ ...claim, flushIndex, runs: [largeRun(path)] });
  }
  if (!hasHeads) {
    await sql`alter table journal disable trigger journal_is_final`.execute(stores.db);
    await sql`update journal set heads = null where execution_id = ${execution.id}`.execute(stores.db);
  }
  return execution;
}

it.each([{ hasHeads: true }, { hasHeads: false }])(
  "a journal of many pages is read by path, without the outputs of others (%o)",
  async ({ hasHeads }) => {
    const execution = await record({ hasHeads });
    let bytes = 0;
    const statements = await recordStatements(stores, async (db) => {
      const reader = new ExecutionReader(db);
      expect(await reader.getNodeRun(execution, "4[60]/7")).toEqual(largeRun("4[60]/7"));
      expect(await reader.getNodeRun(execution, "9")).toBeUndefined();
      expect((await reader.listNodeRuns(execution, 100_000_000))?.map(({ path }) => path)).toEqual(["1", "4", "5"]);
      const first = await reader.listIterations(execution, "4", { pageSize: 100 });
      const { nextPageToken } = first;
      const second = await reader.listIterations(execution, "4", {
        pageSize: 100,
        ...(nextPageToken !== undefined && { pageToken: nextPageToken }),
      });
      const listed = [...first.iterations, ...second.iterations].map(({ path }) => path);
      expect(listed).toEqual(expect.arrayContaining(["4[0]", "4[31]", "4[40]"]));
      bytes = (await reader.sizeRecords(execution)).heads;
    });
    expect(statements.length).toBeGreaterThan(5);
    if (hasHeads) expect(bytes).toBeLessThan(143 * 500);
    else expect(bytes).toBeGreaterThan(143 * 100_000);
    expect(await new ExecutionReader(stores.db).listNodeRuns(execution, 10_000)).toBeUndefined();
  },
);

it("an execution whose journal begins with many flushes has all of them, or is not begun", async () => {
  const execution = tenant.newExecution();
  const flushes = ["1", "2", "3"].map((path, index) => ({ index, runs: [largeRun(path)] }));
  await stores.executions.begin(execution, { flushes });
  expect((await readJournal(stores, execution)).runs.map(({ path }) => path)).toEqual(["1", "2", "3"]);
  const torn = tenant.newExecution();
  const twice = [...flushes, { index: 1, runs: [] }];
  await expect(stores.executions.begin(torn, { flushes: twice })).rejects.toThrow(/duplicate key/);
  expect((await readJournal(stores, torn)).runs).toEqual([]);
  expect(await stores.reader.find({ environmentId: torn.environmentId, executionId: torn.id })).toBeUndefined();
});
