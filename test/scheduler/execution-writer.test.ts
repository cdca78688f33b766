import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import type { NewExecution, NodeRun, Outcome } from "../../src/domain/execution.ts";
import { newId } from "../../src/domain/id.ts";
import type { JsonText } from "../../src/domain/json/json-text.ts";
import { defaultLimits } from "../../src/domain/limits.ts";
import { begunRecord } from "../../src/domain/under-way.ts";
import type { UnderWay } from "../../src/engine/journal/journal.ts";
import { Sealing } from "../../src/scheduler/encryption/sealing.ts";
import { MemoryBudget } from "../../src/scheduler/limits/memory-budget.ts";
import type { ExecutionClaims, ExecutionRecords } from "../../src/scheduler/run/execution-log.ts";
import { ExecutionWriter } from "../../src/scheduler/run/execution-writer.ts";
import { RunJournal, type RunJournalOptions } from "../../src/scheduler/run/run-journal.ts";
import type { JournalEnd } from "../../src/scheduler/run/run-state.ts";
import { createSchedulerEvents } from "../../src/scheduler/run/scheduler-events.ts";
import { ManualClock } from "../engine/manual-clock.ts";
import { MemoryLog } from "./memory-log.ts";

class Away extends Error {}

const completed: Outcome = { state: "COMPLETED" };

let clock: ManualClock;
let log: MemoryLog;
/** The flushes that were committed. */
let flushes: [index: number, paths: readonly string[]][];
/** What the next appends throw. */
let failures: Error[];
let ends: JournalEnd[];
/** For how long the run sleeps, and for how long it is deferred for lack of memory. */
let sleeps: number[];
let deferrals: number[];
let execution: NewExecution;
let writer: ExecutionWriter;
let journal: RunJournal;
let abort: AbortController;

type Changes = Partial<ExecutionRecords & ExecutionClaims & RunJournalOptions>;

beforeEach(() => {
  clock = new ManualClock();
  log = new MemoryLog(() => clock.now());
  flushes = [];
  failures = [];
  ends = [];
  sleeps = [];
  deferrals = [];
  ({ execution, writer, journal, abort } = create());
});

/** A journal and its writer over a log in memory, of which some methods may behave in another way. */
function create({ begin, append, suspend, ...changes }: Changes = {}) {
  const abort = new AbortController();
  // Texts of JSON.
  const [payload, headers] = ['"x"' as JsonText, "{}" as JsonText];
  const tenant = { organizationId: "acme", environmentId: "test" };
  const who = { ...tenant, workflowId: "w", version: 1, linkedAccountId: "john", configId: "john" };
  const execution: NewExecution = { ...who, id: newId(), type: "ASYNC", source: "API_CALL", payload, headers };
  const isUnavailable = (error: unknown) => error instanceof Away;
  const writer = new ExecutionWriter({
    execution,
    owner: "owner",
    children: new MemoryLog().children,
    isOfFamily: false,
    signals: log,
    executions: {
      begin: begin ?? ((...args) => log.begin(...args)),
      recordFinished: (...args) => log.recordFinished(...args),
      append:
        append ??
        (async (entry) => {
          const failure = failures.shift();
          if (failure !== undefined) {
            throw failure;
          }
          const isKept = await log.append(entry);
          if (isKept) {
            flushes.push([entry.flushIndex, entry.runs.map(({ path }) => path)]);
          }
          return isKept;
        }),
      finish: (end) => log.finish(end),
    },
    claims: {
      suspend:
        suspend ??
        (async (wait) => {
          sleeps.push(wait.ms);
          return await log.suspend(wait);
        }),
      defer: async (wait) => {
        deferrals.push(wait.ms);
        return await log.defer(wait);
      },
    },
    sealing: new Sealing(() => []),
    hidesNodes: false,
    findAnswer: () => undefined,
    events: createSchedulerEvents(),
    isUnavailable,
    clock,
    signal: abort.signal,
  });
  const journal = new RunJournal({
    writer,
    clock,
    acceptTime: 0,
    isUnavailable,
    lease: { isHeld: () => true, whenHeld: async () => undefined, databaseNow: () => undefined },
    limits: defaultLimits,
    openMemory: () => new MemoryBudget(defaultLimits).open("acme", "a"),
    onEnd: (end) => {
      ends.push(end);
      abort.abort(new Error(end.kind));
    },
    ...changes,
  });
  return { execution, writer, journal, abort };
}

async function readPaths({ id }: NewExecution): Promise<readonly string[]> {
  const runs: NodeRun[] = [];
  for await (const some of (await log.openJournal({ id })).read()) {
    runs.push(...some);
  }
  return runs.map(({ path }) => path);
}

function nodeRun(path: string): NodeRun {
  return { path, node_id: path, state: "SUCCESS", attempts: 1, start_time: clock.now(), end_time: clock.now() };
}

async function advance(ms: number): Promise<void> {
  clock.advance(ms);
  await nextTurn();
}

describe("what is under way", () => {
  const visit = (path: string, attempts = 1): UnderWay => ({
    path,
    node_id: path,
    attempts,
    start_time: clock.now(),
    since: 0,
    next: undefined,
    previous: undefined,
  });

  test("is recorded as begun once it has been so for 250 ms, each attempt once, with the next flush", async () => {
    await writer.begin();
    const [slow, fast, other] = [visit("slow"), visit("fast"), visit("other")];
    journal.enter(slow);
    journal.enter(fast);
    await advance(200);
    journal.enter(other);
    journal.leave(fast);
    journal.recordBegun();
    await advance(50);
    for (let count = 0; count < 3; count += 1) {
      journal.recordBegun();
    }
    journal.record(nodeRun("fast"));
    await advance(250);
    expect(flushes).toEqual([[0, ["slow#begun", "fast"]]]);
    journal.leave(slow);
    journal.recordBegun();
    await advance(250);
    journal.enter(slow);
    journal.leave(other);
    await advance(250);
    journal.recordBegun();
    await advance(250);
    expect(flushes.slice(1)).toEqual([
      [1, ["other#begun"]],
      [2, ["slow#begun"]],
    ]);
  });

  test("leaves nothing where it is fast, however many there are and in whatever order they leave", async () => {
    await writer.begin();
    const visits = Array.from({ length: 50 }, (_, index) => visit(String(index)));
    for (const one of visits) {
      journal.enter(one);
    }
    for (const one of visits.toSorted((left, right) => (Number(left.path) % 7) - (Number(right.path) % 7))) {
      journal.leave(one);
    }
    await advance(1_000);
    journal.recordBegun();
    await advance(1_000);
    expect(flushes).toEqual([]);
  });

  test("is no result of a replay, but tells when the node began", () => {
    const begun = begunRecord({ path: "1[0]/2", node_id: "2", attempts: 1, start_time: 5 });
    journal.replay([begun]);
    expect(["1[0]/2", "1[0]/2#begun", "1[0]", "1"].map((path) => journal.recall(path))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect([journal.beganAt("1[0]/2"), journal.beganAt("1")]).toEqual([5, 5]);
  });
});

describe("what is recorded", () => {
  test("stays in memory until the execution is committed, and is committed within 250 ms of its first record, in order", async () => {
    journal.record(nodeRun("1"));
    await advance(200);
    expect(flushes).toEqual([]);
    await writer.begin();
    journal.record(nodeRun("2"));
    await advance(49);
    expect(flushes).toEqual([]);
    await advance(1);
    expect(flushes).toEqual([[0, ["1", "2"]]]);
    journal.record(nodeRun("3"));
    await advance(250);
    expect(flushes).toEqual([
      [0, ["1", "2"]],
      [1, ["3"]],
    ]);
  });

  test("has its place behind all that was recorded before, by an earlier run too", () => {
    journal.replay([nodeRun("b"), nodeRun("a")]);
    for (const path of ["d", "c"]) {
      journal.record(nodeRun(path));
    }
    const paths = ["a", "b", "c", "d"];
    expect(paths.toSorted((left, right) => journal.positionOf(left) - journal.positionOf(right))).toEqual([
      "b",
      "a",
      "d",
      "c",
    ]);
    expect(journal.positionOf("nobody")).toBe(Number.POSITIVE_INFINITY);
  });

  test("is committed as the same flush however often the database was away", async () => {
    failures = [new Away(), new Away()];
    await writer.begin();
    journal.record(nodeRun("1"));
    for (let count = 0; count < 3; count += 1) {
      await advance(250);
    }
    expect(flushes).toEqual([[0, ["1"]]]);
    expect(ends).toEqual([]);
  });

  test("that cannot be committed for another reason is said", async () => {
    const fault = new Error("a bug");
    failures = [fault];
    await writer.begin();
    journal.record(nodeRun("1"));
    await advance(250);
    expect(ends).toEqual([{ kind: "FAILED", error: fault }]);
  });

  test("is parted into flushes of a bounded size, the one of the end among them", async () => {
    // The text of JSON, of 400 KiB.
    const output = JSON.stringify("x".repeat(400 * 1024)) as JsonText;
    await writer.begin();
    for (let count = 1; count <= 8; count += 1) {
      journal.record({ ...nodeRun(String(count)), output });
    }
    const rest = await journal.drain();
    expect(flushes).toEqual([
      [0, ["1", "2", "3"]],
      [1, ["4", "5", "6"]],
    ]);
    expect(rest.map(({ path }) => path)).toEqual(["7", "8"]);
    journal.close();
  });

  test("is committed before the end, and once, where a flush falls due while others are under way", async () => {
    const paths = Array.from({ length: 8 }, (_, index) => String(index + 1));
    const slow = create({
      append: async (entry) => {
        await nextTurn();
        return await log.append(entry);
      },
    });
    const output = JSON.stringify("x".repeat(400 * 1024)) as JsonText;
    await slow.writer.begin();
    for (const path of paths) {
      slow.journal.record({ ...nodeRun(path), output });
    }
    clock.advance(250);
    const rest = await slow.journal.drain();
    expect(await slow.writer.finish(completed, rest)).toBe("committed");
    expect(await readPaths(slow.execution)).toEqual(paths);
    slow.journal.close();
  });

  test("is committed with the end, where it was not before, and no timer is left", async () => {
    await writer.begin();
    journal.record(nodeRun("1"));
    await advance(250);
    journal.record(nodeRun("2"));
    const rest = await journal.drain();
    expect(rest).toEqual([nodeRun("2")]);
    expect(await writer.finish(completed, rest)).toBe("committed");
    expect([flushes, await readPaths(execution)]).toEqual([[[0, ["1"]]], ["1", "2"]]);
    journal.close();
    expect(clock.waiting).toBe(0);
  });
});

describe("the writer", () => {
  test("writes a run that ends in memory once, finished, and has nothing to begin afterwards", async () => {
    journal.record(nodeRun("1"));
    expect(await writer.finish(completed, await journal.drain())).toBe("committed");
    expect(await writer.begin()).toBeUndefined();
    expect([flushes, writer.claim, await readPaths(execution)]).toEqual([[], undefined, ["1"]]);
  });

  test("keeps all records of a run that ends in memory, also where one write does not hold them", async () => {
    // The text of JSON, of 400 KiB.
    const output = JSON.stringify("x".repeat(400 * 1024)) as JsonText;
    const paths = ["1", "2", "3", "4", "5"];
    for (const path of paths) {
      journal.record({ ...nodeRun(path), output });
    }
    expect(await writer.finish(completed, await journal.drain())).toBe("committed");
    expect(await readPaths(execution)).toEqual(paths);
  });

  test("writes one thing after the other, the end after a begin that is under way", async () => {
    const begun = Promise.withResolvers<void>();
    const slow = create({
      begin: async (...args) => {
        await begun.promise;
        return await log.begin(...args);
      },
    });
    void slow.writer.begin();
    const finished = slow.writer.finish(completed, [nodeRun("1")]);
    await nextTurn();
    expect((await log.listEnded([slow.execution.id])).outcomes.size).toBe(0);
    begun.resolve();
    expect(await finished).toBe("committed");
    expect(slow.writer.claim).toMatchObject({ epoch: 1 });
    expect(await readPaths(slow.execution)).toEqual(["1"]);
  });

  test("changes nothing once another has claimed the execution, and says so", async () => {
    await writer.begin();
    await log.release({ owner: "owner" });
    await log.claim({ owner: "other", shares: [{ ...execution, count: 1 }] });
    expect([
      await writer.append([nodeRun("1")]),
      await writer.sleep({ ms: 60_000, wakeTime: 1, isDeferred: false }),
      await writer.finish(completed, [nodeRun("2")]),
    ]).toEqual(["superseded", "superseded", "superseded"]);
    expect(await readPaths(execution)).toEqual([]);
  });
});

describe("records that are large", () => {
  const { signal } = new AbortController();
  const mebibyte = 1024 ** 2;
  // The text of JSON.
  const output = JSON.stringify("x".repeat(mebibyte)) as JsonText;

  test("are refused beyond what an execution may have, counted in UTF-8 and over its replays, but for what ends the run", async () => {
    const { journal: small } = create({ limits: { recordsBytesMax: 3 * mebibyte } });
    small.replay([{ ...nodeRun("1"), output: JSON.stringify("é".repeat(mebibyte)) as JsonText }]);
    const refusal = expect.objectContaining({ reason: "RECORDS_TOO_LARGE", isFinal: true });
    expect(() => small.record({ ...nodeRun("2"), output })).toThrow(refusal);
    small.record(nodeRun("3"));
    small.recordEnd({ ...nodeRun("4"), output });
    expect((await small.drain()).map(({ path }) => path)).toEqual(["3", "4"]);
  });

  test("are committed before the run goes on, however much faster than the database it is", async () => {
    const asked = Promise.withResolvers<boolean>();
    const { journal: slow } = create({ append: () => asked.promise });
    for (let count = 1; count <= 6; count += 1) {
      slow.record({ ...nodeRun(String(count)), output });
    }
    let isBegun = false;
    const work = slow.work(async () => {
      isBegun = true;
    }, signal);
    await nextTurn();
    expect(isBegun).toBe(false);
    asked.resolve(true);
    await work;
    expect(isBegun).toBe(true);
    slow.close();
  });

  test("of iterations that have ended are held no more, and those of one under way are", async () => {
    const held: number[] = [];
    const memory = { hold: (bytes: number) => void held.push(bytes), mustYield: false };
    const { journal: grouped } = create({ openMemory: () => memory });
    for (let index = 0; index < 40; index += 1) {
      grouped.record({ ...nodeRun(`4[${index}]/7`), output });
      await grouped.beforeEffect(signal);
      grouped.record(nodeRun(`4[${index}]`));
      await grouped.beforeEffect(signal);
    }
    expect(Math.max(...held)).toBeLessThan(2 * mebibyte);
    grouped.record({ ...nodeRun("4[40]/7"), output });
    expect(grouped.recall("4[40]/7")?.output).toBe(output);
    expect(grouped.recall("4[3]/7")).toBeUndefined();
    expect(grouped.recall("4[3]")?.state).toBe("SUCCESS");
    grouped.record(nodeRun("4"));
    expect(grouped.recall("4[3]")).toBeUndefined();
  });

  test("have a run put off that holds more than others where there is no room, but not the oldest, nor one that holds little", async () => {
    const memory = new MemoryBudget({ recordsBytesMax: 4 * mebibyte, recordsMemoryBytesMax: 8 * mebibyte });
    const open = (organizationId: string, id: string) =>
      create({ openMemory: () => memory.open(organizationId, id) }).journal;
    const all = [open("acme", "2"), open("acme", "1"), open("other", "3")];
    const [large, larger, small] = all;
    if (large === undefined || larger === undefined || small === undefined) {
      throw new Error("there are three");
    }
    for (const path of ["1", "2", "3"]) {
      large.record({ ...nodeRun(path), output });
    }
    for (const path of ["1", "2", "3", "4"]) {
      larger.record({ ...nodeRun(path), output });
    }
    small.record({ ...nodeRun("1"), output: '"x"' as JsonText });
    const begun: string[] = [];
    const work = (name: string, run: RunJournal) => void run.work(async () => void begun.push(name), signal);
    work("small", small);
    work("large", large);
    for (let turns = 0; turns < 5; turns += 1) {
      await nextTurn();
    }
    expect(begun).toEqual(["small"]);
    // Through no fault of its own, and to have come so far is nothing that speaks for it.
    expect([deferrals.length, sleeps.length]).toEqual([1, 0]);
    expect(flushes.flatMap(([, paths]) => paths)).toEqual(["1", "2", "3"]);
    // It has left its room to the other.
    work("larger", larger);
    await nextTurn();
    expect(begun).toEqual(["small", "larger"]);
    expect(memory.hasRoom("acme", 3 * mebibyte)).toBe(false);
    expect(memory.hasRoom("other", 3 * mebibyte)).toBe(true);
    for (const run of all) {
      run.close();
    }
    expect(memory.hasRoom("acme", 5 * mebibyte)).toBe(true);
  });
});

describe("an effect outside", () => {
  const { signal } = new AbortController();

  test("comes after the execution and all that is recorded of it are committed", async () => {
    journal.record(nodeRun("1"));
    await journal.beforeEffect(signal);
    expect(flushes).toEqual([[0, ["1"]]]);
  });

  test("costs no commit of its own right after another, and one after a long wait, which tells who owns the run", async () => {
    journal.record(nodeRun("1"));
    await Promise.all([journal.beforeEffect(signal), journal.beforeEffect(signal)]);
    expect(flushes).toEqual([[0, ["1"]]]);
    clock.advance(250);
    await journal.beforeEffect(signal);
    expect(flushes).toEqual([
      [0, ["1"]],
      [1, []],
    ]);
  });

  test("does not come once the commit has shown that another owns the run", async () => {
    await writer.begin();
    await log.release({ owner: "owner" });
    journal.record(nodeRun("1"));
    await expect(journal.beforeEffect(abort.signal)).rejects.toThrow("SUPERSEDED");
  });

  test("waits until the process holds its lease, and asks once more whose the run is if that took long", async () => {
    let isHeld = true;
    const renewed = Promise.withResolvers<void>();
    const lease = {
      isHeld: () => isHeld,
      whenHeld: () => (isHeld ? Promise.resolve() : renewed.promise),
      databaseNow: () => undefined,
    };
    const { journal: late } = create({
      lease,
      append: async ({ flushIndex }) => {
        flushes.push([flushIndex, []]);
        isHeld = flushIndex > 0;
        return true;
      },
    });
    late.record(nodeRun("1"));
    let isBegun = false;
    const effect = late.beforeEffect(signal).then(() => {
      isBegun = true;
    });
    await nextTurn();
    expect([isBegun, flushes.length]).toEqual([false, 1]);
    clock.advance(1_000);
    isHeld = true;
    renewed.resolve();
    await effect;
    expect(flushes.length).toBe(2);
  });

  test("does not come where the row cannot be committed", async () => {
    const { journal: held } = create({ begin: () => Promise.reject(new Away("no database")) });
    await expect(held.beforeEffect(signal)).rejects.toThrow("no database");
    expect(flushes).toEqual([]);
  });

  test("is given up when the run is cut short while the database is away", async () => {
    failures = [new Away(), new Away()];
    const cut = new AbortController();
    journal.record(nodeRun("1"));
    const effect = journal.beforeEffect(cut.signal);
    await nextTurn();
    cut.abort(new Error("cut"));
    await expect(effect).rejects.toThrow("cut");
    journal.close();
    expect(flushes).toEqual([]);
  });
});

describe("a wait", () => {
  const { signal } = new AbortController();

  test("is committed before it begins, with the time at which it is over", async () => {
    await writer.begin();
    let isOver = false;
    void journal.wait("4", 2_000, signal).then(() => {
      isOver = true;
    });
    await nextTurn();
    expect(flushes).toEqual([[0, ["4#wait"]]]);
    await advance(1_999);
    expect(isOver).toBe(false);
    await advance(1);
    expect(isOver).toBe(true);
  });

  test.each([
    ["an hour behind", -3_600_000],
    ["an hour ahead", 3_600_000],
  ])("is over when the database finds it due, though the process that goes on has a clock %s", async (_, skewMs) => {
    for (const [path, ms] of [
      ["4", 3_000],
      ["5", 10_000],
    ] as const) {
      void journal.wait(path, ms, signal);
    }
    const wakeTime = clock.now() + 3_000;
    const runs = await journal.drain();
    clock.advance(3_000);
    clock.set(clock.now() + skewMs);
    const { journal: replay } = create();
    replay.sleptUntil(wakeTime);
    replay.replay(runs);
    const over: string[] = [];
    // Ahead, all that is recorded seems over: only the database's clock tells, see below.
    for (const path of skewMs < 0 ? ["4", "5"] : ["4"]) {
      void replay.wait(path, 3_000, signal).then(() => over.push(path));
    }
    await advance(0);
    expect(over).toEqual(["4"]);
    await advance(7_000);
    expect(over).toEqual(skewMs < 0 ? ["4", "5"] : ["4"]);
  });

  test("is over in time by the database's clock, where a process with another one goes on after a crash", async () => {
    const database = clock.now();
    const lease = {
      isHeld: () => true,
      whenHeld: async () => undefined,
      databaseNow: () => database + clock.monotonic(),
    };
    ({ journal } = create({ lease }));
    void journal.wait("4", 3_000, signal);
    const runs = await journal.drain();
    clock.advance(1_000);
    for (const skewMs of [-3_600_000, 3_600_000]) {
      clock.set(database + skewMs);
      const { journal: replay } = create({ lease });
      replay.replay(runs);
      let isOver = false;
      void replay.wait("4", 3_000, signal).then(() => {
        isOver = true;
      });
      await advance(skewMs < 0 ? 900 : 0);
      expect(isOver).toBe(false);
      await advance(skewMs < 0 ? 0 : 1_100);
      expect(isOver).toBe(skewMs > 0);
    }
  });

  test("is no longer than it was when it began, whatever clock it was recorded by", async () => {
    void journal.wait("4", 3_000, signal);
    const runs = await journal.drain();
    clock.set(clock.now() - 3_600_000);
    const { journal: replay } = create();
    replay.replay(runs);
    let isOver = false;
    void replay.wait("4", 3_000, signal).then(() => {
      isOver = true;
    });
    await advance(3_000);
    expect(isOver).toBe(true);
  });

  test("is over at the time that was first due, however often the run begins anew", async () => {
    void journal.wait("4", 2_000, signal);
    const runs = await journal.drain();
    clock.advance(1_500);
    const { journal: replay } = create();
    replay.replay(runs);
    let isOver = false;
    void replay.wait("4", 2_000, signal).then(() => {
      isOver = true;
    });
    await advance(500);
    expect(isOver).toBe(true);
    expect(await replay.drain()).toEqual([]);
  });

  test("ends when the run is cut short", async () => {
    const cut = new AbortController();
    const waited = journal.wait("4", 2_000, cut.signal);
    await nextTurn();
    cut.abort(new Error("cut"));
    await expect(waited).rejects.toThrow("cut");
  });
});

describe("a run that does nothing but wait", () => {
  const { signal } = new AbortController();
  const rest = async () => {
    for (let turns = 0; turns < 5; turns += 1) {
      await nextTurn();
    }
  };

  /** A leaf that waits, and then does something that lasts until it is told to end. */
  function leaf(path: string, waitMs: number): { end(): void } {
    const busy = Promise.withResolvers<void>();
    void journal.work(async () => {
      await journal.wait(path, waitMs, signal);
      await busy.promise;
    }, signal);
    return { end: () => busy.resolve() };
  }

  test("is let go of until the first of its waits is over, when all is committed", async () => {
    leaf("4", 60_000);
    leaf("5", 30_000);
    await rest();
    expect(sleeps).toEqual([30_000]);
    expect(flushes.flatMap(([, paths]) => paths)).toEqual(["4#wait", "5#wait"]);
  });

  test("is not let go of while something else is under way, and is when that ends", async () => {
    const busy = leaf("3", 0);
    leaf("4", 60_000);
    await rest();
    expect(sleeps).toEqual([]);
    busy.end();
    await rest();
    expect(sleeps).toEqual([60_000]);
  });

  test("is not let go of for a moment", async () => {
    leaf("4", 900);
    await rest();
    expect(sleeps).toEqual([]);
  });

  test("waits on in memory where the database is away", async () => {
    ({ journal } = create({
      suspend: async () => {
        throw new Away();
      },
    }));
    leaf("4", 60_000);
    await rest();
    await advance(250);
    expect([ends, clock.waiting]).toEqual([[], 1]);
  });
});

describe("what an earlier run has begun", () => {
  const record = (path: string, start_time: number, state: NodeRun["state"] = "SUCCESS"): NodeRun => {
    return { ...nodeRun(path), start_time, end_time: start_time + 5, state };
  };

  test("began when the first of it was recorded, until its end is", () => {
    journal.replay([record("1", 10), record("4#wait", 20, "WAITING"), record("5#1", 30, "ERRORED")]);
    journal.replay([record("6[0]/7", 40), record("6[0]", 38), record("6[1]/7[3]/8#2#wait", 50, "WAITING")]);
    const paths = ["1", "4", "5", "6", "6[0]", "6[0]/7", "6[1]", "6[1]/7", "6[1]/7[3]", "6[1]/7[3]/8", "9"];
    expect(paths.map((path) => journal.beganAt(path))).toEqual([
      undefined,
      20,
      30,
      38,
      undefined,
      undefined,
      50,
      50,
      50,
      50,
      undefined,
    ]);
    journal.replay([record("5", 30), record("6", 38)]);
    expect(["4", "5", "6"].map((path) => journal.beganAt(path))).toEqual([20, undefined, undefined]);
  });

  test("is not what was taken over from another execution", () => {
    ({ journal } = create({ acceptTime: 1_000 }));
    journal.replay([record("6[0]/7", 40), record("6[0]", 38), record("6[1]/7", 1_200)]);
    expect(["6", "6[1]"].map((path) => journal.beganAt(path))).toEqual([1_200, 1_200]);
  });

  test("waits as long as it was to wait, and tells how long it took", async () => {
    const { signal } = new AbortController();
    const cut = new AbortController();
    const first = journal.wait("4", 3_000, cut.signal).catch(() => "cut");
    await advance(1_000);
    cut.abort(new Error("the process stops"));
    expect(await first).toBe("cut");
    const { journal: replay } = create();
    const wait = journal.recall("4#wait");
    replay.replay(wait === undefined ? [] : [wait]);
    await advance(9_000);
    expect(await replay.wait("4", 3_000, signal)).toEqual({ ms: 3_000, tookMs: 10_000 });
  });
});
