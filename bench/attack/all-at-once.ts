import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import type { Attack } from "./attack.ts";
import type { Counts } from "./attackers.ts";
import { type Ends, type Measured, type MeasureOptions, prepare } from "./measure.ts";
import { startAttacked } from "./server.ts";
import { foundTenant } from "./tenants.ts";
import { startUpstream } from "./upstream.ts";
import { Victim } from "./victim.ts";
import { Watcher } from "./watcher.ts";

/** Each attack lasts so long, and then begins anew, with a pause between. */
const turnSeconds = 30;

/** All attacks together against one server, for the whole time; prints the curve of its memory every ten seconds. */
export async function allAtOnce(attacks: readonly Attack[], options: MeasureOptions): Promise<Measured> {
  const server = await startAttacked(options.server, {});
  const upstream = await startUpstream();
  let died: string | undefined;
  void server.exited.then((end) => {
    died = end;
  });
  const watcher = new Watcher(server, options);
  const victim = new Victim(await foundTenant(server.url, server.connection, "victim"), upstream.url);
  const queries = new pg.Client(server.connection);
  queries.on("error", () => undefined);
  await queries.connect();
  try {
    await victim.start();
    const runs = await prepare(
      // Those whose settings are their own have servers of their own.
      attacks.filter(({ environment }) => environment === undefined),
      { server, queries, options },
    );
    await pause(1_000 * options.baselineSeconds);
    const baseline = victim.turn();
    watcher.turn();
    const beginTime = performance.now();
    const cpuBefore = watcher.cpuMs();
    const endTime = beginTime + 1_000 * options.seconds;
    const counts: Record<string, number> = {};
    await Promise.all(
      runs.map(async (run) => {
        while (performance.now() < endTime && server.isAlive()) {
          const left = (endTime - performance.now()) / 1_000;
          add(counts, await run(Math.min(turnSeconds, left)));
          await pause(2_000);
        }
      }),
    );
    const cpuShare = (watcher.cpuMs() - cpuBefore) / (performance.now() - beginTime);
    const during = victim.turn();
    const watch = watcher.turn();
    await pause(1_000 * options.quietSeconds);
    const quiet = victim.turn();
    const restBytes = await restOf(watcher, options, () => server.isAlive());
    for (const point of watcher.curve) process.stderr.write(`${JSON.stringify(point)}\n`);
    return {
      attack: "all",
      title: "all attacks at once",
      strength: options.strength,
      isVolume: true,
      ...{ baseline, during, quiet, watch, quietWatch: watcher.turn(), restBytes, cpuShare, counts },
      ends: server.isAlive() ? await endsOf(queries, victim, upstream.sentTwice()) : undefined,
      restMs: restBytes <= 250 * 1024 ** 2 ? 0 : undefined,
      died: watcher.isKilled ? "the harness, for its memory" : died,
      diedAfterMs: undefined,
    };
  } finally {
    await victim.stop();
    await watcher.stop();
    await queries.end().catch(() => undefined);
    upstream.stop();
    await server.stop();
  }
}

function add(counts: Record<string, number>, more: Counts): void {
  for (const [name, count] of Object.entries(more)) counts[name] = (counts[name] ?? 0) + count;
}

async function restOf(watcher: Watcher, { restSeconds }: MeasureOptions, isAlive: () => boolean): Promise<number> {
  const startTime = performance.now();
  while (isAlive() && watcher.rssBytes() > 250 * 1024 ** 2 && performance.now() - startTime < 1_000 * restSeconds)
    await pause(500);
  return watcher.rssBytes();
}

async function endsOf(queries: pg.Client, { ids }: Victim, twice: number): Promise<Ends> {
  const { rows } = await queries.query(
    `select count(*) filter (where state is null and create_time < now() - interval '30 seconds')::int as unfinished,
            count(*) filter (where state <> 'COMPLETED')::int as failed,
            count(*) filter (where error like '%OUTCOME_UNKNOWN%')::int as unknown
       from execution where id = any($1)`,
    [ids],
  );
  return { ...rows[0], twice };
}
