import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { NodeRun } from "../../src/domain/execution.ts";
import { begunRecord } from "../../src/domain/under-way.ts";
import { ExecutionReader } from "../../src/storage/history/execution-reader.ts";
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

test("a large part of an execution is read once its reader has reserved memory for it, and else not at all", async () => {
  const execution = await record({ hasHeads: true });
  const query = { environmentId: execution.environmentId, executionId: execution.id };
  const claim = { organizationId: execution.organizationId, ...query, owner: "a", epoch: 1 };
  const outcome = { state: "COMPLETED", response: output } as const;
  await stores.executions.finish({ ...claim, outcome });
  const asked: number[] = [];
  const reserve = (bytes: number) => void asked.push(bytes);
  expect(await stores.reader.get(query, reserve)).toMatchObject(outcome);
  expect(await stores.reader.getNodeRun(execution, "4[60]/7", reserve)).toEqual(largeRun("4[60]/7"));
  expect(asked).toEqual([expect.any(Number), expect.any(Number)]);
  expect(Math.min(...asked)).toBeGreaterThan(output.length);
  const refuse = () => {
    throw new Error("no memory");
  };
  const last = async (read: (reader: ExecutionReader) => Promise<unknown>) => {
    const sent = await recordStatements(stores, (db) =>
      expect(read(new ExecutionReader(db))).rejects.toThrow("no memory"),
    );
    return sent.at(-1)?.sql;
  };
  expect(await last((reader) => reader.get(query, refuse))).toContain("octet_length");
  expect(await last((reader) => reader.getNodeRun(execution, "4[60]/7", refuse))).toContain("octet_length(entries)");
});

test.each([{ hasHeads: true }, { hasHeads: false }])(
  "a journal of many pages is read by path, without the outputs of others (%o)",
  async ({ hasHeads }) => {
    const execution = await record({ hasHeads });
    let bytes = 0;
    const statements = await recordStatements(stores, async (db) => {
      const reader = new ExecutionReader(db);
      expect(await reader.getNodeRun(execution, "4[60]/7")).toEqual(largeRun("4[60]/7"));
      expect(await reader.getNodeRun(execution, "9")).toBeUndefined();
      expect((await reader.listNodeRuns(execution, 100_000_000))?.runs.map(({ path }) => path)).toEqual([
        "1",
        "4",
        "5",
      ]);
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
    if (hasHeads) {
      expect(bytes).toBeLessThan(143 * 500);
    } else {
      expect(bytes).toBeGreaterThan(143 * 100_000);
    }
    expect(await new ExecutionReader(stores.db).listNodeRuns(execution, 10_000)).toBeUndefined();
  },
);

test("what ran is under way until its end is recorded, the execution ends, or another owner takes it over, and what waits waits on", async () => {
  const execution = tenant.newExecution();
  const { id: executionId, organizationId, environmentId } = execution;
  const claim = { organizationId, environmentId, executionId, owner: "a" };
  await stores.executions.begin(execution, { owner: "a" });
  let flushIndex = 0;
  const append = async (runs: readonly NodeRun[], epoch = 1) =>
    expect(await stores.executions.append({ ...claim, epoch, flushIndex: flushIndex++, runs })).toBe(true);
  const underWay = async (isEnded = false) => {
    const listed = await stores.reader.listNodeRuns({ ...execution, isEnded }, 1_000_000);
    return listed?.runs.map(({ path, state, attempts, start_time }) => `${path} ${state} ${attempts} ${start_time}`);
  };
  const at = (path: string, start_time: number, attempts = 1) => ({ path, node_id: path, attempts, start_time });
  const waits = (path: string, start_time: number): NodeRun => ({
    ...at(path, start_time, 0),
    path: `${path}#wait`,
    state: "WAITING",
    end_time: start_time + 60_000,
  });
  await append([begunRecord(at("3", 30)), begunRecord(at("4", 40)), waits("5", 50)]);
  await append([nodeRun("3"), { ...nodeRun("4#1"), node_id: "4", start_time: 40, state: "ERRORED" }, waits("4#2", 45)]);
  await append([{ ...begunRecord(at("6", 60)) }, begunRecord({ ...at("7[0]/8", 70), node_id: "8" })]);
  expect(await underWay()).toEqual([
    expect.stringMatching(/^3 SUCCESS/),
    "4 WAITING 2 40",
    "5 WAITING 1 50",
    "6 RUNNING 1 60",
  ]);
  expect((await stores.reader.getNodeRun(execution, "7[0]/8"))?.state).toBe("RUNNING");
  await sql`update execution_claim set epoch = 2 where execution_id = ${executionId}`.execute(stores.db);
  expect((await underWay())?.slice(1)).toEqual(["4 WAITING 2 40", "5 WAITING 1 50"]);
  expect(await stores.reader.getNodeRun(execution, "7[0]/8")).toBeUndefined();
  await append([begunRecord(at("4", 40, 2))], 2);
  expect((await underWay())?.slice(1)).toEqual(["4 RUNNING 2 40", "5 WAITING 1 50"]);
  expect((await underWay(true))?.length).toBe(1);
});

test("the records with notes are counted, those inside of Groups too, and no text that looks like one", async () => {
  const execution = tenant.newExecution();
  const notes = ["a", "b"];
  const look = json(JSON.stringify({ a: ',"notes":[' }));
  const runs = [
    { ...nodeRun("1"), notes },
    { ...nodeRun("2[0]/3"), notes },
    { ...nodeRun("4"), output: look },
    nodeRun("5"),
  ];
  await stores.executions.begin(execution, {
    owner: "a",
    flushes: [
      { index: 0, runs },
      { index: 1, runs: [] },
    ],
  });
  expect((await stores.reader.listNodeRuns(execution, 1_000_000))?.notedRuns).toBe(2);
});

test("an execution whose journal begins with many flushes has all of them, or is not begun", async () => {
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
