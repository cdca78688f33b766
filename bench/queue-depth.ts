/**
 * What a sweep costs, a claim and a look at the queue, while little and while much is queued, of one account and of a
 * thousand: `node bench/queue-depth.ts`, on a database of its own that it fills with a million rows. The medians are
 * compared, so that the machine's moods fall out.
 */
import { performance } from "node:perf_hooks";
import { sql } from "kysely";
import { pino } from "pino";
import type { Account } from "../src/domain/account.ts";
import { newId } from "../src/domain/id.ts";
import { Database } from "../src/storage/postgres/database.ts";
import { openStores, type Stores } from "../src/storage/stores.ts";
import { median, startPostgres } from "./service.ts";

const depths = [1_000, 1_000_000] as const;
const rounds = 60;
const batch = 16;
const queueMax = 100_000;
/** As the rescuer does: a long queue is counted in one sweep of twenty-one. */
const countEvery = { 1000: 1, 1000000: 21 } as const;

const full = { accounts: [], environmentIds: [], organizationIds: [] };

const postgres = await startPostgres();
const { connection } = postgres;
const database = new Database({ connection: () => connection, log: pino({ level: "warn" }) });
await database.start();
const stores = openStores(database);
const tenant = await createTenant(stores);
for (const accounts of [1, 1_000]) {
  const medians = new Map<number, number>();
  for (const depth of depths) {
    await fill(depth, accounts);
    const times: number[] = [];
    let last: readonly Account[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const begin = performance.now();
      const turns = await stores.queue.nextAccounts({ after: undefined, last, limit: batch, full });
      last = turns.accounts.slice(-1);
      const count = batch / turns.accounts.length;
      const shares = turns.accounts.map((account) => ({ ...account, count }));
      const claimed = await stores.claims.claim({ owner: "bench", shares });
      await stores.queue.count(round % countEvery[depth] === 0 ? queueMax : 0);
      times.push(performance.now() - begin);
      if (claimed.length !== batch) {
        throw new Error("too few were claimed");
      }
    }
    medians.set(depth, median(times));
    const mean = times.reduce((sum, ms) => sum + ms, 0) / rounds;
    process.stdout.write(
      `${depth} queued of ${accounts}: median ${medians.get(depth)?.toFixed(2)} ms, mean ${mean.toFixed(2)} ms\n`,
    );
  }
  const [few = 1, many = 1] = depths.map((depth) => medians.get(depth));
  process.stdout.write(`ratio ${(many / few).toFixed(2)}\n`);
}
await database.stop();
await postgres.stop();

async function createTenant({ tenants, workflows, versions }: Stores) {
  const { environments } = await tenants.createOrganization({ name: "bench" });
  const environmentId = environments.test;
  const actor = { environmentId, keyId: "bench" };
  await tenants.putIntegration(environmentId, { slug: "asana", name: "Asana" });
  for (let index = 0; index < 1_000; index += 1) {
    await tenants.putLinkedAccount(environmentId, { accountId: `a${index}`, name: "A", attributes: {} });
  }
  const { id: workflowId } = await workflows.create(actor, { slug: "asana", name: "One", alias: "one" });
  await versions.publish(actor, { workflowId, revision: 0 });
  return { environmentId, workflowId };
}

/** Queued executions, and as many in all as the depth says. */
async function fill(depth: number, accounts: number): Promise<void> {
  const { environmentId, workflowId } = tenant;
  await stores.claims.release({ owner: "bench" });
  await sql`truncate execution, execution_claim, journal cascade`.execute(database.db);
  const step = 50_000;
  for (let from = 0; from < depth; from += step) {
    const to = Math.min(from + step, depth) - 1;
    const prefix = newId().slice(0, 12);
    await sql`
      with accepted as (
        insert into execution (id, environment_id, workflow_id, version, linked_account_id, config_id, type, source,
          payload, headers)
        select ${prefix} || lpad(to_hex(number), 12, '0'), ${environmentId}, ${workflowId}, 1, 'a' || number % ${accounts}::int, 'a', 'ASYNC',
               'API_CALL', '{}', '{}'
          from generate_series(${from}::int, ${to}::int) as number
        returning id, environment_id, linked_account_id
      )
      insert into execution_claim (execution_id, environment_id, linked_account_id, epoch)
        select id, environment_id, linked_account_id, 0 from accepted
      `.execute(database.db);
  }
  for (const table of ["execution", "execution_claim"]) {
    await sql`vacuum analyze ${sql.table(table)}`.execute(database.db);
  }
}
