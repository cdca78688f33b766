import { pino } from "pino";
import type { NewExecution, NodeRun } from "../../src/domain/execution.ts";
import { newId } from "../../src/domain/id.ts";
import type { JsonText } from "../../src/domain/json/json-text.ts";
import { Database } from "../../src/storage/postgres/database.ts";
import { openStores as openAll } from "../../src/storage/stores.ts";
import { createTestDatabase } from "../support/postgres.ts";

/** All stores on a database of their own; `close()` deletes it. */
export async function openStores() {
  const test = await createTestDatabase();
  const database = new Database({ connection: () => test.connection, log: pino({ level: "silent" }) });
  await database.start();
  const close = async () => {
    await database.stop();
    await test.drop();
  };
  return {
    connection: test.connection,
    database,
    db: database.db,
    close,
    ...openAll(database),
  };
}

export type Stores = Awaited<ReturnType<typeof openStores>>;

/** An environment with an account and a published workflow. */
export async function createTenant({
  tenants,
  workflows,
  versions,
}: Pick<Stores, "tenants" | "workflows" | "versions">) {
  const { organizationId, environments } = await tenants.createOrganization({ name: "acme" });
  const environmentId = environments.test;
  const actor = { environmentId, keyId: "test" };
  const linkedAccountId = "john@acme.io";
  await tenants.putIntegration(environmentId, { slug: "asana", name: "Asana" });
  await tenants.putLinkedAccount(environmentId, {
    accountId: linkedAccountId,
    name: "John",
    attributes: { team: "red" },
  });
  const { id: workflowId } = await workflows.create(actor, { slug: "asana", name: "One", alias: "one" });
  await versions.publish(actor, { workflowId, revision: 0 });
  const newExecution = (): NewExecution => ({
    id: newId(),
    organizationId,
    environmentId,
    workflowId,
    version: 1,
    linkedAccountId,
    configId: linkedAccountId,
    type: "ASYNC",
    source: "API_CALL",
    payload: json('{"Task Name": "a\\u0000b", "n": 1.0}'),
    headers: json("{}"),
  });
  return { organizationId, environments, environmentId, actor, linkedAccountId, workflowId, newExecution };
}

export type Tenant = Awaited<ReturnType<typeof createTenant>>;

/** Takes over what owners without a lease hold, and then what is queued: of each account the oldest, at most so many. */
export async function takeUp(
  { claims, queue, reaper }: Pick<Stores, "claims" | "queue" | "reaper">,
  { owner, limit = 10 }: { readonly owner: string; readonly limit?: number },
) {
  await reaper.reap({ owner, now: Date.now() });
  const { accounts } = await queue.nextAccounts({
    after: undefined,
    last: [],
    limit,
    full: { accounts: [], environmentIds: [], organizationIds: [] },
  });
  return await claims.claim({ owner, shares: accounts.map((account) => ({ ...account, count: limit })) });
}

/** All that an execution's journal holds. */
export async function readJournal(
  { executions }: Pick<Stores, "executions">,
  execution: { readonly id: string; readonly environmentId: string },
) {
  const { bytes, nextFlushIndex, read } = await executions.openJournal(execution);
  const runs: NodeRun[] = [];
  for await (const some of read()) {
    runs.push(...some);
  }
  return { bytes, nextFlushIndex, runs };
}

export function nodeRun(path: string): NodeRun {
  return {
    path,
    node_id: path,
    state: "SUCCESS",
    attempts: 1,
    start_time: 1,
    end_time: 2,
    output: json('{"a":"\\"b"}'),
  };
}

export function json(text: string): JsonText {
  // The texts of these tests are checked by reading them.
  return text as JsonText;
}
