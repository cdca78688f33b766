import { afterEach, expect, test, vi } from "vitest";
import { defaultLimits } from "../../../src/domain/limits.ts";
import { ProcessPool } from "../../../src/engine/pool/process-pool.ts";

// Each begins processes, which takes seconds on a machine that is busy with much else.
vi.setConfig({ testTimeout: 120_000 });

let pool: ProcessPool;
afterEach(() => pool.stop());

function open(codeChildren: number): void {
  pool = new ProcessPool({ ...defaultLimits, poolKept: 0, codeChildren });
}

type Ask = {
  readonly environment?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly onBegin?: () => void;
};

async function ask(
  code: string,
  { environment = "a", timeoutMs = 10_000, signal = new AbortController().signal, onBegin }: Ask = {},
) {
  const end = await pool.run("code", {
    request: () => ({
      head: { code: `function yourFunction() { ${code} }`, params: [], timeoutMs, startTime: 0, seed: [1, 2, 3, 4] },
      texts: [],
    }),
    path: ["organization", environment],
    signal,
    timeoutMs,
    ...(onBegin && { onBegin }),
  });
  return end.kind !== "reply"
    ? end.kind
    : end.head.kind === "output"
      ? JSON.parse(end.texts[0] ?? "")
      : end.head.reason;
}

test("one environment's endless scripts leave a child for another one", async () => {
  open(2);
  const stop = new AbortController();
  let begun = 0;
  const onBegin = () => {
    begun += 1;
  };
  const hogs = Array.from({ length: 4 }, () => ask("for (;;);", { timeoutMs: 60_000, signal: stop.signal, onBegin }));
  const ends = Promise.allSettled(hogs);
  expect(await ask("return 2", { environment: "b" })).toBe(2);
  expect(await ask("return 3", { environment: "b" })).toBe(3);
  expect(begun).toBe(1);
  stop.abort(new Error("stopped"));
  expect((await ends).map(({ status }) => status)).toEqual(Array(4).fill("rejected"));
});

test("the wait for a child is not the script's time", async () => {
  open(1);
  const hog = ask("for (;;);", { timeoutMs: 3_000 });
  const startTime = performance.now();
  const late = await ask("return 1", { timeoutMs: 2_500 });
  expect(late).toBe(1);
  expect(performance.now() - startTime).toBeGreaterThan(2_900);
  expect(["NODE_TIMED_OUT", "overdue"]).toContain(await hog);
});

test("more environments than children all get their turn, with one child too", async () => {
  for (const children of [1, 2]) {
    open(children);
    const environments = ["a", "b", "c", "d", "e"].flatMap((environment) => [environment, environment, environment]);
    const answers = await Promise.all(
      environments.map((environment) => ask(`return "${environment}"`, { environment })),
    );
    expect(answers).toEqual(environments);
    await pool.stop();
  }
});

test("a script that is not needed any more is left, in the queue and in its child", async () => {
  open(1);
  await ask("return 1");
  const stop = new AbortController();
  const running = ask("for (;;);", { signal: stop.signal });
  const waiting = ask("return 2", { signal: stop.signal });
  stop.abort(new Error("stopped"));
  await expect(running).rejects.toThrow("stopped");
  await expect(waiting).rejects.toThrow("stopped");
  expect(await ask("return 3")).toBe(3);
});
