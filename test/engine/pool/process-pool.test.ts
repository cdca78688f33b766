import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { defaultLimits, type Limits } from "../../../src/domain/limits.ts";
import { ProcessPool } from "../../../src/engine/pool/process-pool.ts";
import type { TaskRequest } from "../../../src/engine/pool/tasks.ts";
import { eventually } from "../../support/eventually.ts";
import { gapMsMax, longestGapMs } from "../../support/longest-gap.ts";

const endless = "($f := function($n,$a){ $n = 0 ? $a : $f($n-1, {'a':$a,'b':$a}) }; $f(60,1) = $f(60,1))";
const context = { executionId: "e", path: "t", startTime: 0 };
const never = new AbortController().signal;

// Each begins processes, which takes seconds on a machine that is busy with much else.
vi.setConfig({ testTimeout: 120_000 });

let pool: ProcessPool;
/** The children of other pools of this process, which has run other tests. */
let others: readonly number[] = [];

afterEach(() => pool.stop());

async function open(limits: Partial<Limits> = {}): Promise<void> {
  others = await childrenOf(process.pid);
  pool = new ProcessPool({ ...defaultLimits, poolChildren: 2, ...limits });
  await pool.start();
}

function requestOf(query: string, input = "null"): TaskRequest<"query"> {
  return { head: { query, context, input: { text: 0, path: [] }, bindings: [] }, texts: [input] };
}

type Ask = {
  readonly organization?: string;
  readonly input?: string;
  readonly signal?: AbortSignal;
  onBegin?: () => void;
};

/** Gives the output, or how the task ended. */
async function ask(query: string, { organization = "a", input, signal = never, onBegin }: Ask = {}): Promise<unknown> {
  const end = await pool.run("query", {
    request: () => requestOf(query, input),
    path: [organization, "environment"],
    signal,
    ...(onBegin && { onBegin }),
  });
  if (end.kind !== "reply") {
    return end.kind;
  }
  return end.head.kind === "output" ? JSON.parse(end.texts[0] ?? "") : end.head;
}

function isOverdue(end: unknown): boolean {
  return end === "overdue" || /limit queryMs/.test(JSON.stringify(end));
}

describe("a task costs nothing but itself", () => {
  test("when it never ends: it is killed at its deadline, the thread is free, and others go on", async () => {
    await open({ queryMs: 500 });
    const gap = await longestGapMs(async () => {
      const slow = ask(endless);
      expect(await ask("1 + 1", { organization: "b" })).toBe(2);
      // Where the machine is busy its time is over before it gets to the step that never ends, and it ends by itself.
      expect([await slow]).toContainEqual(expect.toSatisfy(isOverdue));
    });
    expect(gap).toBeLessThan(gapMsMax);
    expect(await ask("2 + 2")).toBe(4);
  });

  test("when it needs more memory than it may", async () => {
    await open({ childHeapMib: 64, queryMs: 60_000 });
    // 2,000 texts of a mebibyte each.
    const full = ask("$map([1..2000], function($n){ $uppercase($$ & $string($n)) })", {
      input: JSON.stringify("x".repeat(1024 ** 2)),
    });
    expect(await ask("1 + 1", { organization: "b" })).toBe(2);
    expect(await full).toBe("out_of_memory");
    expect(await ask("2 + 2")).toBe(4);
  });

  test("when nobody waits for it any more, whether it runs or is queued", async () => {
    await open({ poolChildren: 1, queryMs: 60_000 });
    const begun = Promise.withResolvers<void>();
    const [running, queued] = [new AbortController(), new AbortController()];
    const slow = ask(endless, { signal: running.signal, onBegin: begun.resolve });
    await begun.promise;
    let hasBegun = false;
    const waiting = ask("1", {
      signal: queued.signal,
      onBegin: () => {
        hasBegun = true;
      },
    });
    queued.abort("gone");
    await expect(waiting).rejects.toBe("gone");
    running.abort("gone");
    await expect(slow).rejects.toBe("gone");
    expect(await ask("2 + 2")).toBe(4);
    expect(hasBegun).toBe(false);
  });

  test("when it waits for a child for longer than it may take: that is not its own time", async () => {
    await open({ poolChildren: 1, queryMs: 1_000 });
    const slow = [ask(endless), ask(endless)];
    const waiting = [1, 2, 3].map((number) => ask(String(number)));
    for (const end of await Promise.all(slow)) {
      expect(end).toSatisfy(isOverdue);
    }
    expect(await Promise.all(waiting)).toEqual([1, 2, 3]);
  });

  test("when its process is lost: it is begun once more in another", async () => {
    await open({ poolChildren: 1, queryMs: 60_000 });
    expect(await ask("1 + 1")).toBe(2);
    const [lost] = await ownChildren();
    let begins = 0;
    const task = ask("($f := function($n){ $n > 2000 ? $n : $f($n + 1) }; $f(0))", {
      onBegin: () => {
        begins += 1;
        if (begins === 1) {
          process.kill(lost ?? 0, "SIGKILL");
        }
      },
    });
    expect(await task).toBe(2_001);
    expect(begins).toBe(2);
  });
});

describe("children are taken by organisations in turn", () => {
  test("an organisation whose tasks are slow leaves a child to the others", async () => {
    await open({ queryMs: 60_000 });
    const stop = new AbortController();
    const slow = [1, 2, 3].map(() => ask(endless, { organization: "slow", signal: stop.signal }));
    // They end when they are stopped, and not before.
    expect(await Promise.race([Promise.all(slow), ask("1 + 1", { organization: "quick" })])).toBe(2);
    expect(await ask("2 + 2", { organization: "third" })).toBe(4);
    stop.abort("over");
    expect(await Promise.allSettled(slow)).toEqual(slow.map(() => ({ status: "rejected", reason: "over" })));
  });

  test("an organisation whose tasks are quick has all of them", async () => {
    await open();
    expect(await ask("1 + 1")).toBe(2);
    let running = 0;
    let most = 0;
    const tasks = Array.from({ length: 8 }, async () => {
      await ask("($f := function($n){ $n > 3000 ? $n : $f($n + 1) }; $f(0))", {
        onBegin: () => {
          running += 1;
          most = Math.max(most, running);
        },
      });
      running -= 1;
    });
    await Promise.all(tasks);
    // One that has begun is counted here before the end of the one before is heard of.
    expect(most).toBeGreaterThanOrEqual(2);
  });
});

describe("a child", () => {
  test("has no environment, no descriptors but its channel, and a lower priority", async () => {
    await open({ poolChildren: 1 });
    expect(await ask("1 + 1")).toBe(2);
    const [pid] = await ownChildren();
    const names = readFileSync(`/proc/${pid}/environ`, "utf8")
      .split("\0")
      .map((pair) => pair.split("=")[0])
      .filter((name) => name !== "");
    expect(["NODE_COMPILE_CACHE", "TZ"]).toEqual(expect.arrayContaining(names));
    // The 19th field; the 2nd may hold blanks, and ends in a parenthesis.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ");
    expect(Number(fields?.[16])).toBeGreaterThanOrEqual(5);
  });

  test("ends with the service, and with a parent that is killed", async () => {
    await open();
    await Promise.all([ask("1"), ask("2", { organization: "b" })]);
    const own = await ownChildren();
    expect(own.length).toBeGreaterThan(0);
    await pool.stop();
    await eventually(() => expect(own.filter(isAlive)).toEqual([]));
    const script = `
      import { defaultLimits } from "./src/domain/limits.ts";
      import { ProcessPool } from "./src/engine/pool/process-pool.ts";
      const pool = new ProcessPool({ ...defaultLimits, poolChildren: 1 });
      const request = () => (${JSON.stringify(requestOf(endless))});
      const signal = new AbortController().signal;
      pool.run("query", { request, path: ["a", "b"], signal, onBegin: () => console.log("begun") });`;
    const cwd = join(import.meta.dirname, "../../..");
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
      cwd,
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(parent.stdout, "data");
    const left = await childrenOf(parent.pid ?? 0);
    expect(left).toHaveLength(1);
    parent.kill("SIGKILL");
    await eventually(() => expect(left.filter(isAlive)).toEqual([]));
  });
});

async function ownChildren(): Promise<readonly number[]> {
  return (await childrenOf(process.pid)).filter((pid) => !others.includes(pid));
}

/** The processes that a process has begun from the entry of a child. */
async function childrenOf(parent: number): Promise<readonly number[]> {
  const pids = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim().split(" ").map(Number);
  return pids.filter((pid) => isAlive(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("pool-child"));
}

/** Whether a process runs; one that has ended and is not waited for yet does not. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
