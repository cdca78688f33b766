import { median } from "../service.ts";
import { startFlowcall } from "./own-targets.ts";
import { payload, type Target } from "./target.ts";

/** The history is this long, whatever its size: as long as the default retention. */
const days = 30;

const calls = 400;
const turns = 5;

type Costs = { readonly insertMs: number; readonly listMs: number };

/**
 * What a synchronous call, which inserts an execution, and a list of executions cost with so many finished executions,
 * beside 10,000 of them. Medians of calls one after the other, on one service that grows.
 */
export async function measureHistory(rows: number): Promise<void> {
  const target = await startFlowcall();
  try {
    await measure(target);
    const few = 10_000;
    await fill(target, few);
    const before = await measure(target);
    print(few, before);
    await fill(target, rows - few);
    const after = await measure(target);
    print(rows, after);
    const ratio = (figure: keyof Costs) => (after[figure] / before[figure]).toFixed(2);
    process.stdout.write(`  an insert ${ratio("insertMs")} x, a list ${ratio("listMs")} x\n`);
  } finally {
    await target.stop();
  }
}

function print(rows: number, { insertMs, listMs }: Costs): void {
  process.stdout.write(
    `  ${rows} executions: a synchronous call ${insertMs.toFixed(2)} ms, a list of 50 ${listMs.toFixed(2)} ms\n`,
  );
}

async function measure(target: Target): Promise<Costs> {
  const call = target.calls.sync;
  if (call === undefined) {
    throw new Error("the service has no synchronous call");
  }
  const headers = { ...call.headers, "content-type": "application/json" };
  const list = new URL("/api/v1/execution?page_size=50", call.url).href;
  const costs: Costs[] = [];
  for (let turn = 0; turn < turns; turn += 1) {
    costs.push({
      insertMs: await medianOf(() => fetch(call.url, { method: "POST", headers, body: payload })),
      listMs: await medianOf(() => fetch(list, { headers: call.headers })),
    });
  }
  return {
    insertMs: median(costs.map(({ insertMs }) => insertMs)),
    listMs: median(costs.map(({ listMs }) => listMs)),
  };
}

async function medianOf(send: () => Promise<Response>): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < calls; count += 1) {
    const startTime = performance.now();
    const reply = await send();
    const text = await reply.text();
    times.push(performance.now() - startTime);
    if (!reply.ok) {
      throw new Error(text);
    }
  }
  return median(times);
}

/** Copies an execution so many times: a part for each of the past days, into a partition that is attached when it is full. */
async function fill({ query }: Target, rows: number): Promise<void> {
  const today = Math.floor(Date.now() / 86_400_000);
  const perDay = Math.ceil(rows / days);
  for (let day = today - days; day < today; day += 1) {
    const name = new Date(day * 86_400_000).toISOString().slice(0, 10).replaceAll("-", "");
    const [from, to] = [day, day + 1].map((one) => (one * 86_400).toString(16).padStart(8, "0"));
    await query?.(`create table if not exists filled_execution (like execution including defaults)`);
    await query?.(`create table if not exists filled_journal (like journal including defaults)`);
    const second = `(${day * 86_400} + n * 86400 / ${perDay + 1})`;
    await query?.(`
      insert into filled_execution (environment_id, id, workflow_id, version, linked_account_id, config_id, type, source,
        payload, headers, state, response, create_time, end_time)
      select environment_id, lpad(to_hex(${second}::bigint), 8, '0') || left(md5(n::text || random()), 16), workflow_id,
        version, linked_account_id, config_id, type, source, payload, headers, state, response, to_timestamp(${second}),
        to_timestamp(${second})
      from (select * from execution order by id desc limit 1) as one, generate_series(1, ${perDay}) as n`);
    await query?.(`
      insert into filled_journal (execution_id, flush_index, environment_id, epoch, entries, create_time)
      select filled.id, 0, filled.environment_id, 0, one.entries, filled.create_time
        from (select entries from journal order by execution_id desc limit 1) as one, filled_execution as filled`);
    for (const table of ["execution", "journal"]) {
      const { exists } = (await query?.(`select to_regclass('${table}_${name}') is not null as exists`))?.[0] ?? {};
      if (exists === true) {
        await query?.(`insert into ${table} select * from filled_${table}`);
        await query?.(`drop table filled_${table}`);
      } else {
        await query?.(`alter table filled_${table} rename to ${table}_${name}`);
        await query?.(
          `alter table ${table} attach partition ${table}_${name} for values from ('${from}') to ('${to}')`,
        );
      }
    }
  }
  await query?.("vacuum analyze execution");
  await query?.("vacuum analyze journal");
  await query?.("checkpoint");
}
