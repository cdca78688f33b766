import { execFileSync } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import type { Environment } from "../../src/config.ts";
import { putWorkflow } from "../support/flowcall.ts";
import type { TestDatabase } from "../support/postgres.ts";
import type { Composition, Said } from "./composed-server.ts";
import { type FaultFigures, type FaultRun, seededRandom } from "./fault-case.ts";
import { checkInvariants, findOrphans } from "./invariants.ts";
import { Load } from "./load.ts";
import { Readers } from "./readers.ts";
import { TestBed } from "./test-bed.ts";
import { until } from "./until.ts";

/** Executions that a process runs at a time. */
export const slots = 32;

/** What a process has of the database at the most: its pool, its lease's connection, and some for what is to come. */
const connectionsMax = 16;

/** More than a process of this size ever needs, and less than one that leaks grows to. */
const rssMbMax = 1_024;

/** How many calls show that all goes on. */
const callsAfter = 20;

const paths = ["2", "3"];

const call = { method: "POST", url: "{{event.body.url}}", json: "{{event.body}}" };

const twoCalls = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", http: call },
    { id: "3", http: call },
    { id: "4", response: { data: '["{{node.2.body.value}}", "{{node.3.body.value}}"]' } },
  ],
  edges: ["1", "2", "3"].map((source) => ({ source, target: String(Number(source) + 1) })),
};

export type Ordeal = {
  readonly database: TestDatabase;
  readonly databaseUrl?: string;
  readonly processes: number;
  readonly ports?: readonly number[];
  /** Where callers call, if not at the processes themselves. */
  readonly urls?: readonly string[];
  readonly calls: number;
  readonly clients?: number;
  readonly environment?: Environment;
  /** How the processes are composed, where they are not `src/main.ts`. */
  readonly composition?: Composition;
  /** How long the API that the workflow calls takes to answer. */
  readonly answerMs?: number;
  /** How long after the last fault all may take to end; generous where it is not set. */
  readonly drainMs?: number;
  /** How many faults the case is about. */
  readonly planned: number;
  /** How many owners a fault takes their executions; none where it is not set. */
  readonly lossesPerFault?: number;
  /** How many calls a fault may leave to be sent behind the record of their node; none where it is not set. */
  readonly lateCallsPerFault?: number;
  /** Lets the faults happen, while calls come. */
  readonly faults: (stage: Stage) => Promise<void>;
};

/** What the faults of a case see and do. */
export type Stage = {
  readonly bed: TestBed;
  readonly load: Load;
  /** The name of the owner that each process is, where it is composed. */
  readonly owners: ReadonlyMap<number, string>;
  /** How many executions have ended. */
  ended(): Promise<number>;
  /** How many writes came too late, and changed nothing. */
  fenced(): number;
  /** Waits until so many executions have ended that fault `index` of the planned ones has its turn. */
  turn(index: number): Promise<void>;
  /** Counts a fault that happened. */
  happened(): Promise<void>;
  /** Waits until an execution ends after the fault, and keeps how long after that was. */
  recovered(): Promise<void>;
};

/**
 * Lets callers call a workflow that calls an API twice, lets faults happen meanwhile, and then holds all that was seen
 * against the invariants. The faults are planned by the seed; their moments are counted in executions, and not in time.
 */
export async function endure(run: FaultRun, ordeal: Ordeal): Promise<FaultFigures> {
  const owners = new Map<number, string>();
  let fenced = 0;
  const bed = await TestBed.start({
    ...ordeal,
    environment: { FLOWCALL_SLOTS: String(slots), ...ordeal.environment },
    ...(ordeal.composition !== undefined && {
      program: ["test/faults/composed-server.ts", JSON.stringify(ordeal.composition)],
    }),
    onMessage: (message, index) => {
      // What a composed server says.
      const said = message as Said;
      if (said.kind === "owner") {
        owners.set(index, said.owner);
      }
      if (said.kind === "fenced") {
        fenced += 1;
      }
    },
  });
  const stopping: (() => Promise<void>)[] = [];
  try {
    bed.sink.answerMs = ordeal.answerMs ?? 10;
    await putWorkflow(bed.server(0).url, { alias: "two-calls", definition: twoCalls });
    const urls = () => ordeal.urls ?? bed.urls;
    const load = new Load({
      urls,
      workflow: "two-calls",
      payload: { url: bed.sink.url },
      calls: ordeal.calls,
      clients: ordeal.clients ?? 48,
      random: seededRandom(run.seed + 1),
    });
    const readers = new Readers({
      urls,
      ids: load.ids,
      readers: 4,
      // Without a rest they take most of the machine, which a sample shares with other cases.
      pauseMs: run.size === "full" ? 10 : 100,
      random: seededRandom(run.seed + 2),
    });
    const orphans = watchOrphans(bed);
    stopping.push(
      () => load.stop(),
      () => readers.stop(),
      () => orphans.stop(),
    );

    const stage = stageOf(run, { bed, load, owners, fenced: () => fenced, planned: ordeal.planned });
    await ordeal.faults(stage);
    const healTime = performance.now();
    const within = ordeal.drainMs === undefined ? {} : { withinMs: ordeal.drainMs };
    await until("the answer to every call", () => load.isDone);
    const isDrained = await until(
      "the end of all",
      async () => (await bed.count("execution_claim")) === 0,
      within,
    ).then(
      () => true,
      () => false,
    );
    const drainMs = performance.now() - healTime;
    run.say(
      `${load.ids.length} executions, ${stage.faults} faults, ${isDrained ? "all ended" : "not all ended"} after ${Math.round(drainMs)} ms`,
    );
    await Promise.all(stopping.splice(0).map((stop) => stop()));
    if (isDrained) {
      for (const url of bed.urls) {
        await readers.readAll(url);
      }
    }

    const figures = await checkInvariants({
      query: bed.query,
      load,
      readers,
      sink: bed.sink,
      paths,
      faults: stage.faults,
      plannedFaults: ordeal.planned,
      losses: stage.faults * (ordeal.lossesPerFault ?? 0),
      slots,
      lateCallsMax: stage.faults * (ordeal.lateCallsPerFault ?? 0),
      orphans: orphans.seen,
      leftOver: await leftOver(bed),
    });
    await goOn(bed, run.seed);
    return {
      ...figures,
      faults: stage.faults,
      ...(ordeal.composition !== undefined && { fenced }),
      drainMs,
      ...(stage.recoveries.length > 0 && { recoveryMs: Math.max(...stage.recoveries) }),
    };
  } finally {
    await Promise.all(stopping.map((stop) => stop()));
    await bed.stop();
  }
}

function stageOf(
  { random, say }: FaultRun,
  { planned, ...seen }: Pick<Stage, "bed" | "load" | "owners" | "fenced"> & Pick<Ordeal, "planned">,
) {
  const { bed, load } = seen;
  const shares = Array.from({ length: planned }, (_, index) => (index + random()) / planned);
  const recoveries: number[] = [];
  let faults = 0;
  let faultTime = 0;
  let before = 0;
  const ended = () => bed.count("ledger");
  return {
    ...seen,
    recoveries,
    get faults() {
      return faults;
    },
    ended,
    turn: async (index: number) => {
      // Not the last of them: behind it others are to be under way.
      const due = Math.floor((shares[index] ?? 0) * load.calls * 0.7);
      await until(`${due} executions to end`, async () => {
        before = await ended();
        return before >= due;
      });
    },
    happened: async () => {
      faults += 1;
      faultTime = performance.now();
      before = await ended().catch(() => before);
      say(`fault ${faults} of ${planned}; ${load.ids.length} calls are accepted, and ${before} have ended`);
    },
    recovered: async () => {
      await until("an execution to end", async () => (await ended()) > before || before >= load.calls);
      recoveries.push(performance.now() - faultTime);
    },
  };
}

/** Looks now and then whether each unfinished execution has its claim. */
function watchOrphans(bed: TestBed) {
  const seen: unknown[] = [];
  const stopped = new AbortController();
  const watching = (async () => {
    while (!stopped.signal.aborted) {
      // A database that is away says nothing.
      seen.push(...(await findOrphans(bed.query).catch(() => [])));
      await pause(500, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  })();
  return {
    seen,
    stop: async () => {
      stopped.abort();
      await watching;
    },
  };
}

async function leftOver(bed: TestBed): Promise<readonly string[]> {
  const ofService = "pg_stat_activity where datname = current_database() and application_name = 'flowcall'";
  const connections = await bed.count(ofService);
  const pids = bed.servers.flatMap((server) => server?.pid ?? []);
  const sizes = execFileSync("ps", ["-o", "rss=", "-p", pids.join()], { encoding: "utf8" });
  const rssMb = Math.max(...sizes.trim().split(/\s+/).map(Number)) / 1_024;
  return [
    ...(connections > connectionsMax * pids.length ? [`${connections} connections of ${pids.length} processes`] : []),
    ...(rssMb > rssMbMax ? [`${Math.round(rssMb)} MiB`] : []),
  ];
}

/** Progress: what is called when all is well again is accepted, and ends. */
async function goOn(bed: TestBed, seed: number): Promise<void> {
  const load = new Load({
    urls: () => bed.urls,
    workflow: "two-calls",
    keys: "after",
    payload: { url: bed.sink.url },
    calls: callsAfter,
    clients: callsAfter,
    random: seededRandom(seed),
  });
  try {
    await until("the answer to every call that came after", () => load.isDone);
    await until("the end of all that came after", async () => (await bed.count("execution_claim")) === 0);
  } finally {
    await load.stop();
  }
}
