import { setTimeout as pause } from "node:timers/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import pg from "pg";
import type { Attack, Stage } from "./attack.ts";
import { attackersCpu, type Counts, runAttackers, sumOf } from "./attackers.ts";
import { machineCpuMs, postgresCpuMs } from "./processes.ts";
import { startAttacked, type Target } from "./server.ts";
import { createKey, foundTenant, publishLine, type Tenant } from "./tenants.ts";
import { startUpstream } from "./upstream.ts";
import { type Sight, Victim } from "./victim.ts";
import { type CurvePoint, type Watch, Watcher } from "./watcher.ts";

export type MeasureOptions = {
  /** The folder of the server's sources. */
  readonly server: string;
  readonly strength: number;
  readonly seconds: number;
  /** How long each attack lasts before it begins anew; as long as all where it is not set. */
  readonly turnSeconds?: number;
  /** Which part of its size an attack has that is too large for a short test. */
  readonly scale?: number;
  readonly quietSeconds: number;
  readonly baselineSeconds: number;
  /** How many organisations the attackers are of. */
  readonly organizations: number;
  readonly rssMaxBytes: number;
  /** How long the victim's calls and executions may take to end when the attack is over. */
  readonly drainSeconds: number;
  /** How long the server has to come to rest. */
  readonly restSeconds: number;
};

/** What became of the victim's executions. */
export type Ends = {
  readonly unknown: number;
  readonly twice: number;
  readonly unfinished: number;
  readonly failed: number;
};

export type Measured = {
  readonly attack: string;
  readonly strength: number;
  readonly isVolume: boolean;
  readonly baseline: Sight;
  readonly during: Sight;
  readonly quiet: Sight;
  readonly watch: Watch;
  readonly quietWatch: Watch;
  /** How it ended, where it did. */
  readonly died: string | undefined;
  readonly diedAfterMs: number | undefined;
  readonly ends: Ends | undefined;
  /** What it had 60 s after the attack at the latest. */
  readonly restBytes: number;
  readonly cpuShare: number;
  /** The CPUs that Postgres took. */
  readonly postgresShare: number;
  /** The CPUs that everything took that has no part in this. */
  readonly othersShare: number;
  /** How many of the victim's calls were answered in the last third of the attack. */
  readonly answeredLate: number;
  readonly counts: Counts;
  readonly curve: readonly CurvePoint[];
};

const restBytesMax = 250 * 1024 ** 2;

/** Attacks a server that is started for it. Attacks with settings of their own are left out where there are several. */
export async function measure(attacks: readonly Attack[], options: MeasureOptions): Promise<Measured> {
  const [first, ...others] = attacks;
  const alone = others.length === 0 ? first : undefined;
  const server = await startAttacked(options.server, await settingsOf(alone, options.server));
  try {
    const tried = attacks.filter((attack) => attack === alone || attack.environment === undefined);
    return await measureOn(server, tried, options);
  } finally {
    await server.stop();
  }
}

/** Attacks a server that runs, beside a victim: all attacks at once, each again and again until the time is over. */
export async function measureOn(
  server: Target,
  attacks: readonly Attack[],
  options: Omit<MeasureOptions, "server">,
): Promise<Measured> {
  const upstream = await startUpstream();
  let diedTime: number | undefined;
  let died: string | undefined;
  void server.exited.then((end) => {
    diedTime = performance.now();
    died = end;
  });
  const watcher = new Watcher(server, options);
  const victim = new Victim(await foundTenant(server.url, server.connection, "victim"), upstream.url);
  const queries = new pg.Client(server.connection);
  queries.on("error", () => undefined);
  await queries.connect();
  try {
    await victim.start();
    const runs = await prepare(attacks, { server, queries, options });
    await pause(1_000 * options.baselineSeconds);
    const baseline = victim.turn();
    watcher.turn();
    const beginTime = performance.now();
    const cpuBefore = watcher.cpuMs();
    const machine = new MachineUse(server.rootPid);
    const all = await Promise.all(runs.map((run) => repeat(run, server, options)));
    const cpuMs = watcher.cpuMs() - cpuBefore;
    const attackMs = performance.now() - beginTime;
    const counts = sumOf(all);
    const use = machine.shares(attackMs, cpuMs + (counts[attackersCpu] ?? 0));
    const during = victim.turn();
    // The attackers have begun a little later, and so they end.
    const endTime = beginTime + 1_000 * options.seconds;
    const isLate = (time: number) => time > endTime - (1_000 * options.seconds) / 3 && time < endTime;
    const answeredLate = [baseline, during].flatMap(({ answerTimes }) => answerTimes).filter(isLate).length;
    const watch = watcher.turn();
    await pause(1_000 * options.quietSeconds);
    const quiet = victim.turn();
    const rest = waitForRest(watcher, server, options);
    const ends = server.isAlive() ? await drain(victim, queries, upstream.sentTwice, options) : undefined;
    const restBytes = await rest;
    const sights = [baseline, during, quiet];
    const [before = baseline, meanwhile = during, after = quiet] = await victim.settled(
      sights,
      1_000 * options.drainSeconds,
    );
    return {
      attack: attacks.length === 1 ? (attacks[0]?.id ?? "") : "all",
      strength: options.strength,
      isVolume: attacks.some(({ isVolume }) => isVolume),
      ...{ baseline: before, during: meanwhile, quiet: after, watch, quietWatch: watcher.turn(), ends, restBytes },
      answeredLate,
      cpuShare: cpuMs / attackMs,
      ...use,
      counts,
      curve: watcher.curve,
      died: watcher.isKilled ? "the harness, for its memory" : died,
      diedAfterMs: diedTime === undefined ? undefined : diedTime - beginTime,
    };
  } finally {
    await victim.stop();
    await watcher.stop();
    await queries.end().catch(() => undefined);
    upstream.stop();
  }
}

/** What took the machine's CPUs while the attack went on. */
class MachineUse {
  readonly #rootPid: number;
  readonly #busyMs = machineCpuMs();
  readonly #postgresMs: number;
  readonly #own = process.cpuUsage();

  constructor(rootPid: number) {
    this.#rootPid = rootPid;
    this.#postgresMs = postgresCpuMs(rootPid);
  }

  shares(timeMs: number, knownMs: number): Pick<Measured, "postgresShare" | "othersShare"> {
    const { user, system } = process.cpuUsage(this.#own);
    const postgresMs = postgresCpuMs(this.#rootPid) - this.#postgresMs;
    const othersMs = machineCpuMs() - this.#busyMs - postgresMs - knownMs - (user + system) / 1_000;
    return { postgresShare: postgresMs / timeMs, othersShare: othersMs / timeMs };
  }
}

type Run = (seconds: number) => Promise<Counts>;

async function repeat(
  run: Run,
  server: Target,
  { seconds, turnSeconds = seconds }: Pick<MeasureOptions, "seconds" | "turnSeconds">,
): Promise<Counts> {
  const endTime = performance.now() + 1_000 * seconds;
  const all: Counts[] = [];
  for (;;) {
    const left = (endTime - performance.now()) / 1_000;
    if (left < 1 || !server.isAlive()) {
      return sumOf(all);
    }
    all.push(await run(Math.min(turnSeconds, left)));
    // One that ends by itself has done all that it can.
    if (turnSeconds === seconds) {
      return sumOf(all);
    }
    await pause(2_000);
  }
}

type Preparation = {
  readonly server: Target;
  readonly queries: pg.Client;
  readonly options: Omit<MeasureOptions, "server">;
};

/** Prepares attacks by attackers of the same organisations; answers what runs each of them for so many seconds. */
async function prepare(attacks: readonly Attack[], { server, queries, options }: Preparation): Promise<readonly Run[]> {
  const { strength, organizations, scale = 1 } = options;
  const query: Stage["query"] = async (statement, values = []) => (await queries.query(statement, [...values])).rows;
  const count = Math.min(strength, organizations);
  const tenants: { readonly tenant: Tenant; readonly readKey: string }[] = [];
  for (let index = 0; index < count; index += 1) {
    const tenant = await foundTenant(server.url, server.connection, `attacker-${index}`);
    await publishLine(tenant, "restricted", [{ response: { data: "1" } }]);
    const restrictions = { scopes: ["read"], workflows: ["restricted"], linked_accounts: [tenant.account] };
    tenants.push({ tenant, readKey: await createKey(tenant, restrictions) });
  }
  const runs: Run[] = [];
  for (const attack of attacks) {
    const stages = tenants.map(({ tenant }) => ({ tenant, query, scale, attackers: Math.ceil(strength / count) }));
    const givens: JsonObject[] = [];
    for (const stage of stages) {
      givens.push((await attack.prepare?.(stage)) ?? {});
    }
    runs.push(async (seconds) => {
      const attackers = Array.from({ length: strength }, (_, index) => {
        const { tenant, readKey } = tenants[index % count] ?? never();
        const { key, productionKey, account, url } = tenant;
        return {
          ...{ url, key, productionKey, readKey, account, given: givens[index % count] ?? {} },
          index: Math.floor(index / count),
          address: `127.0.0.${2 + index}`,
        };
      });
      const running = runAttackers({ attack: attack.id, seconds, attackers });
      for (const [index, stage] of stages.entries()) {
        await attack.begin?.(stage, givens[index] ?? {});
      }
      return await running;
    });
  }
  return runs;
}

async function settingsOf(attack: Attack | undefined, server: string): Promise<Readonly<Record<string, string>>> {
  if (attack?.environment === undefined) {
    return {};
  }
  const { defaultLimits } = await import(`${server}/src/domain/limits.ts`);
  return attack.environment(defaultLimits);
}

/** The victim goes on meanwhile, as it did before. */
async function waitForRest(watcher: Watcher, server: Target, { restSeconds }: Pick<MeasureOptions, "restSeconds">) {
  const startTime = performance.now();
  let restBytes = watcher.rssBytes();
  while (server.isAlive() && restBytes > restBytesMax && performance.now() - startTime < 1_000 * restSeconds) {
    await pause(500);
    restBytes = watcher.rssBytes();
  }
  return restBytes;
}

/** Waits until what was accepted so far has ended, and says how. */
async function drain(
  victim: Victim,
  queries: pg.Client,
  sentTwice: () => number,
  { drainSeconds }: Pick<MeasureOptions, "drainSeconds">,
): Promise<Ends> {
  const ids = [...victim.ids];
  const startTime = performance.now();
  for (;;) {
    const { rows } = await queries.query(
      `select count(*) filter (where state is null)::int as unfinished,
              count(*) filter (where state <> 'COMPLETED')::int as failed,
              count(*) filter (where error like '%OUTCOME_UNKNOWN%')::int as unknown
         from execution where id = any($1)`,
      [ids],
    );
    const [row] = rows;
    if (row?.unfinished === 0 || performance.now() - startTime > 1_000 * drainSeconds) {
      return { unfinished: row?.unfinished, failed: row?.failed, unknown: row?.unknown, twice: sentTwice() };
    }
    await pause(250);
  }
}

function never(): never {
  throw new Error("there is an organisation for each attacker");
}
