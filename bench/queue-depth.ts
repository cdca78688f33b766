/**
 * What a sweep costs, a claim and a look at the queue, while little and while much is queued:
 * `FLOWCALL_DATABASE_URL=… node bench/queue-depth.ts`, on an empty database that it fills with a million rows. The
 * medians are compared, so that the machine's moods fall out.
 */
import { performance } from "node:perf_hooks";
import { sql } from "kysely";
import { pino } from "pino";
import { newId } from "../src/domain/id.ts";
import { Database } from "../src/storage/database.ts";
import { openStores, type Stores } from "../src/storage/stores.ts";

const depths = [1_000, 1_000_000] as const;
const rounds = 60;
const queueMax = 10_000;
/** As the rescuer does: a long queue is counted in one sweep of twenty. */
const countEvery = { 1000: 3, 1000000: 21 } as const;

const url = process.env["FLOWCALL_DATABASE_URL"];
if (url === undefined) throw new Error("FLOWCALL_DATABASE_URL names an empty database");
const database = new Database({ connection: () => ({ url }), log: pino({ level: "warn" }) });
await database.start();
const stores = openStores(database);
const tenant = await createTenant(stores);
const medians = new Map<number, number>();
for (const depth of depths) {
  await fill(depth);
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const begin = performance.now();
    const claimed = await stores.executions.claim({ owner: "bench", limit: 16 });
    await stores.executions.getQueue(round % countEvery[depth] === 0 ? queueMax : 0);
    times.push(performance.now() - begin);
    if (claimed.length !== 16) throw new Error("too few were claimed");
  }
  medians.set(depth, times.toSorted((left, right) => left - right)[rounds / 2] ?? 0);
  const mean = times.reduce((sum, ms) => sum + ms, 0) / rounds;
  process.stdout.write(`${depth} queued: median ${medians.get(depth)?.toFixed(2)} ms, mean ${mean.toFixed(2)} ms\n`);
}
const [few = 1, many = 1] = depths.map((depth) => medians.get(depth));
process.stdout.write(`ratio ${(many / few).toFixed(2)}\n`);
await database.stop();

async function createTenant({ tenants, workflows }: Stores) {
  const { environments } = await tenants.createOrganization({ name: "bench" });
  const environmentId = environments.test;
  const actor = { environmentId, keyId: "bench" };
  await tenants.putIntegration(environmentId, { slug: "asana", name: "Asana" });
  await tenants.putLinkedAccount(environmentId, { accountId: "a", name: "A", attributes: {} });
  const { id: workflowId } = await workflows.create(actor, { slug: "asana", name: "One", alias: "one" });
  await workflows.publish(actor, { action: "PUBLISH", workflowId, definition: "{}", revision: 0 });
  return { environmentId, workflowId };
}

/** Queued executions, and as many in all as the depth says. */
async function fill(depth: number): Promise<void> {
  const { environmentId, workflowId } = tenant;
  await stores.executions.release({ owner: "bench" });
  await sql`truncate execution, execution_claim, journal cascade`.execute(database.db);
  const step = 50_000;
  for (let from = 0; from < depth; from += step) {
    const to = Math.min(from + step, depth) - 1;
    const prefix = newId().slice(0, 12);
    await sql`
      with accepted as (
        insert into execution (id, environment_id, workflow_id, version, linked_account_id, config_id, type, source,
          payload, headers)
        select ${prefix} || lpad(to_hex(number), 12, '0'), ${environmentId}, ${workflowId}, 1, 'a', 'a', 'ASYNC',
               'API_CALL', '{}', '{}'
          from generate_series(${from}::int, ${to}::int) as number
        returning id, environment_id
      )
      insert into execution_claim (execution_id, environment_id, epoch) select id, environment_id, 0 from accepted
      `.execute(database.db);
  }
  for (const table of ["execution", "execution_claim"])
    await sql`vacuum analyze ${sql.table(table)}`.execute(database.db);
}
