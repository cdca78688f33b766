import { type CompiledQuery, type Kysely, sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { keyTextOf } from "../../src/domain/keys/api-key.ts";
import { Scope } from "../../src/gen/flowcall/v1/options_pb.ts";
import { ClaimQueue } from "../../src/storage/claims/claim-queue.ts";
import { ClaimStore } from "../../src/storage/claims/claim-store.ts";
import { LeaseStore } from "../../src/storage/claims/lease-store.ts";
import { OwnerReaper } from "../../src/storage/claims/owner-reaper.ts";
import { ExecutionStore } from "../../src/storage/executions/execution-store.ts";
import { ExecutionEvents } from "../../src/storage/history/execution-events.ts";
import { ExecutionReader } from "../../src/storage/history/execution-reader.ts";
import type { Tables } from "../../src/storage/postgres/tables.ts";
import { ApiKeyStore } from "../../src/storage/tenants/api-key-store.ts";
import { ConfigStore } from "../../src/storage/tenants/config-store.ts";
import { ConnectionStore } from "../../src/storage/tenants/connection-store.ts";
import { IntegrationStore } from "../../src/storage/tenants/integration-store.ts";
import { LinkedAccountStore } from "../../src/storage/tenants/linked-account-store.ts";
import { DraftStore } from "../../src/storage/workflows/draft-store.ts";
import { VersionStore } from "../../src/storage/workflows/version-store.ts";
import { WorkflowStore } from "../../src/storage/workflows/workflow-store.ts";
import { createTenant, json, nodeRun, openStores, type Stores, type Tenant } from "./fixture.ts";
import { explain, recordStatements } from "./statements.ts";

let stores: Stores;
let tenant: Tenant;
/** How many rows are filled in by one statement, which may not take long. */
const part = 20_000;
let filled = { ended: 0, queued: 0, owned: 0 };

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

/** Every statement of the execution store, as it is sent. */
async function recordAll(): Promise<readonly CompiledQuery[]> {
  const statements = await recordStatements(stores, callAll);
  return statements.filter((statement) => /^\s*(with|insert|select|update|delete)\s/.test(statement.sql));
}

async function callAll(db: Kysely<Tables>): Promise<void> {
  const executions = new ExecutionStore(db);
  const claims = new ClaimStore(db);
  const queue = new ClaimQueue(db);
  const workflows = new WorkflowStore(db);
  const execution = tenant.newExecution();
  const { organizationId, environmentId, linkedAccountId } = tenant;
  const claim = { organizationId, environmentId, executionId: execution.id, owner: "a", epoch: 1 };
  await executions.begin(execution, { owner: "a" });
  await executions.begin(tenant.newExecution(), { idempotencyKey: { key: "k", fingerprint: "f" } });
  await executions.findBound({ organizationId, environmentId, linkedAccountId }, "k");
  await executions.listEnded([execution.id]);
  const ends = [{ id: execution.id, environmentId, bytes: 1 }];
  await executions.readEnded(() => ends.shift());
  await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] });
  await executions.append({ ...claim, flushIndex: 0, runs: [nodeRun("1")] });
  await executions.append({ ...claim, flushIndex: 1, runs: [nodeRun("2")], answer: { response: json("1") } });
  const leases = new LeaseStore(db);
  // A dead one, so that there is an owner to reap.
  await leases.renew({ owner: "a", ms: -1 });
  await leases.renew({ owner: "b", ms: 60_000 });
  const full = {
    accounts: [tenant, { ...tenant, linkedAccountId: "none" }],
    environmentIds: ["none"],
    organizationIds: ["none"],
  };
  await new OwnerReaper(db).reap({ owner: "b", now: Date.now() });
  await queue.nextAccounts({ after: undefined, last: [{ ...tenant, linkedAccountId: "a" }], limit: 16, full });
  await claims.claim({ owner: "b", shares: [{ ...tenant, count: 16 }] });
  await claims.backOff({ ...claim, owner: "b", epoch: 7 });
  await claims.clearQuarantine("b");
  await claims.defer({ ...claim, owner: "b", epoch: 7, ms: 1 });
  await executions.openJournal(execution);
  await claims.listOwned("b");
  await claims.releaseOrphans({ owner: "b", ids: [tenant.newExecution().id] });
  await claims.release({ owner: "c" });
  await claims.suspend({ ...claim, ms: 1, wakeTime: 0 });
  await queue.count(100);
  await executions.expire({ runMs: 1, ageMs: 3_600_000, now: Date.now(), limit: 10 });
  await claims.correctForClockStep({ ms: -1_000, owner: "b" });
  await executions.deleteEnded({ ms: 3_600_000, limit: 10 });
  await executions.finish({ ...claim, owner: "b", epoch: 2, outcome: { state: "COMPLETED" } });
  await executions.finish({ ...claim, outcome: { state: "COMPLETED" } });
  await executions.recordFinished(tenant.newExecution(), { state: "COMPLETED", response: json("1") }, [nodeRun("1")]);
  await executions.getResult({ organizationId, environmentId, linkedAccountId, executionId: execution.id });
  await executions.stop({ environmentId, linkedAccountId, executionId: execution.id, outcome: { state: "STOPPED" } });
  for (const workflow of ["one", tenant.workflowId]) {
    await workflows.resolveCall({ organizationId, environmentId, linkedAccountId, reference: { workflow } });
  }
  await author(db);
  await new VersionStore(db).load({ organizationId, environmentId, workflowId: tenant.workflowId, version: 1 });
  const drafts = new DraftStore(db);
  await drafts.deleteKept({ limit: 10 });
  await drafts.deleteKept({ after: { version: -1, environmentId, workflowId: tenant.workflowId }, limit: 10 });
  const reader = new ExecutionReader(db);
  await reader.get({ environmentId, linkedAccountId, executionId: execution.id });
  const found = { environmentId, id: execution.id };
  await reader.listNodeRuns(found, 1_000_000);
  await reader.getNodeRun(found, "1");
  await reader.listIterations(found, "1", { pageSize: 10 });
  await reader.sizeRecords(found);
  await reader.getResponse(found);
  await reader.findRetried(found);
  await new ExecutionEvents(db).read([{ environmentId, id: execution.id, nextFlush: 0 }]);
}

/** What is written by people: each change by an id and by an alias, and each refusal of one. */
async function author(db: Kysely<Tables>): Promise<void> {
  const [workflows, drafts, versions] = [new WorkflowStore(db), new DraftStore(db), new VersionStore(db)];
  const { actor, environmentId, linkedAccountId } = tenant;
  const { id } = await workflows.create(actor, { slug: "asana", name: "X", alias: "edited" });
  for (const reference of [{ workflow: "edited" }, { workflow: "edited", slug: "asana" }, { workflow: id }]) {
    const { revision, workflowId } = await drafts.save(actor, { reference, definition: "{}" });
    await drafts.save(actor, { reference, definition: "{}", expectedRevisions: [-1] }).catch(() => undefined);
    await drafts.find(actor, reference);
    await drafts.keep({ environmentId, workflowId, revision, linkedAccountId });
    const version = await versions.publish(actor, { workflowId, revision });
    await versions.find(actor, reference, version);
    await versions.restore(actor, { reference, version });
    await workflows.findDefined(actor, reference);
    await workflows.findMany(actor, [reference, { workflow: "none" }]);
    await workflows.update(actor, { reference, name: "Y" });
    await workflows.unpublish(actor, { reference });
  }
  await workflows.delete(actor, { reference: { workflow: "edited" } });
  await configure(db);
}

async function configure(db: Kysely<Tables>): Promise<void> {
  const { actor, linkedAccountId } = tenant;
  const [integrations, accounts, apiKeys] = [
    new IntegrationStore(db),
    new LinkedAccountStore(db),
    new ApiKeyStore({ db, lookUpDb: db }),
  ];
  const [configs, connections] = [new ConfigStore(db), new ConnectionStore(db)];
  const slug = `planned-${Math.random().toString(36).slice(2)}`;
  await integrations.create(actor, { slug, name: "P", fields: "[]", api: "{}" });
  await integrations.update(actor, { slug, name: "Q", fields: "[]", api: "{}", expectedRevisions: [1] });
  await accounts.findMany(actor, [linkedAccountId, "none"]);
  for (const expectedRevisions of [[], [1], undefined]) {
    const expected = expectedRevisions === undefined ? {} : { expectedRevisions };
    const key = { accountId: linkedAccountId, slug, ...expected };
    await accounts.put(actor, { accountId: `${slug}@acme.io`, attributes: json("{}"), ...expected });
    await configs.put(actor, { ...key, configId: "c", applicationFields: {}, workflowFields: {} });
    await connections.put(actor, { ...key, sealed: "s", sealedBy: "k", hints: {} });
  }
  for (const wanted of [slug, undefined]) {
    const { environmentId, workflowId } = tenant;
    await connections.find({ environmentId, workflowId, accountId: linkedAccountId, slug: wanted });
  }
  await configs.delete(actor, { accountId: linkedAccountId, slug, configId: "c" });
  await connections.delete(actor, { accountId: linkedAccountId, slug });
  await integrations.delete(actor, slug);
  const {
    organizationId,
    environmentId,
    actor: { keyId },
  } = tenant;
  const maker = { organizationId, environmentId, environment: "test" as const, keyId, scopes: [Scope.READ] };
  const { id } = await apiKeys.create(maker, { ...keyTextOf(slug), name: "planned", scopes: [Scope.READ] });
  await apiKeys.rotate(maker, { id, ...keyTextOf(`${slug}-2`), overlapSeconds: 1 });
}

/** Executions that ended, and claims that wait in the queue, from one number to another. */
async function fill(what: "ended" | "queued", from: number, to: number): Promise<void> {
  const ids = sql`select lpad(to_hex(number), 24, '0') as id from generate_series(${from}::int, ${to}::int) as number`;
  if (what === "queued") {
    await sql`
      insert into execution_claim (execution_id, environment_id, linked_account_id, epoch)
      select id, ${tenant.environmentId}, ${tenant.linkedAccountId}, 0 from (${ids}) as ids`.execute(stores.db);
    return;
  }
  await sql`
    insert into execution (id, environment_id, workflow_id, version, linked_account_id, config_id, type, source,
      payload, headers, state, end_time)
    select id, ${tenant.environmentId}, ${tenant.workflowId}, 1, ${tenant.linkedAccountId},
      'c', 'ASYNC', 'API_CALL', '{}', '{}', 'COMPLETED', now() from (${ids}) as ids`.execute(stores.db);
  await sql`
    insert into journal (execution_id, environment_id, flush_index, epoch, entries)
    select id, ${tenant.environmentId}, 0, 1, '[]' from (${ids}) as ids`.execute(stores.db);
}

/** What a process holds that lives, as it accepts more than it could run. */
async function own(from: number, to: number): Promise<void> {
  await sql`
    insert into execution_claim (execution_id, environment_id, linked_account_id, owner, epoch)
    select 'f' || lpad(to_hex(number), 23, '0'), ${tenant.environmentId}, ${tenant.linkedAccountId}, 'alive', 1
    from generate_series(${from}::int, ${to}::int) as number`.execute(stores.db);
  await stores.leases.renew({ owner: "alive", ms: 60_000 });
}

/** Tables grow from empty to large, and only the last time anybody has counted them. */
test.each([
  { tables: "empty", ended: 0, queued: 0, owned: 0 },
  { tables: "fresh", ended: 20_000, queued: 5_000, owned: 20_000 },
  { tables: "large", ended: 50_000, queued: 1_000_000, owned: 20_000, isAnalyzed: true },
])(
  "every statement reads by an index what it is asked for, on $tables tables",
  async ({ ended, queued, owned, isAnalyzed }) => {
    for (let from = filled.ended; from < ended; from += part) {
      await fill("ended", from + 1, Math.min(from + part, ended));
    }
    for (let from = filled.queued; from < queued; from += part) {
      await fill("queued", from + 1, Math.min(from + part, queued));
    }
    if (owned > filled.owned) {
      await own(filled.owned + 1, owned);
    }
    filled = { ended, queued, owned };
    if (isAnalyzed) {
      await sql`analyze`.execute(stores.db);
    }
    const statements = await recordAll();
    expect(statements.length).toBeGreaterThan(15);
    // What calls send may be planned before there are many workflows, and finds one by its name all the same.
    for (const statement of statements.filter(({ sql: text }) => text.includes("workflow.xmin"))) {
      expect(await explain(stores, statement), statement.sql).not.toMatch(/workflow_(?:newest|of_integration) on/);
    }
    for (const statement of statements) {
      // The leases are as many as there are processes.
      expect(await explain(stores, statement), statement.sql).not.toMatch(
        /Seq Scan on (?!lease)|Bitmap|Hash Join|Merge Join/,
      );
    }
  },
  120_000,
);
