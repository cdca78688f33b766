import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const mebibyte = 1024 ** 2;

/** How often the memory that the process holds is checked. */
const lookMs = 5_000;

/** What a process holds that has nothing to give back. */
const ownBytes = 128 * mebibyte;

/** Where a check gives back less than this, the next ones are left out: one more each time, up to so many. */
const littleBytes = 4 * mebibyte;
const idleLooksMax = 5;

/**
 * Garbage is collected, beside V8's own times, when the event loop was idle for a good part of the time since the last check and
 * the pause after the last collection is over. The pause doubles each time that a collection gives back little: what a
 * burst leaves becomes garbage only when the last of its connections has closed, so one collection is too few.
 */
const freeTimeMin = 0.4;
const collectPauseMs = 15_000;
const collectPauseMaxMs = 120_000;
const collectedBytes = 16 * mebibyte;

/**
 * After a burst, the first collection while the event loop is mostly idle is V8's last resort: it also shrinks the young
 * generation, which keeps up to 32 MiB otherwise, and drops compiled code that is out of use. It stops the event loop for
 * some 200 ms, so it takes place once per burst.
 */
const burstBytes = 200 * mebibyte;
const burstShare = 0.6;
const shrinkFreeTimeMin = 0.7;

const regular: NodeJS.GCOptions = { type: "major", execution: "async" };

/** Gives back to the machine what can be, at once. */
type Trim = () => void;

/**
 * Gives memory that was freed back to the machine, while the process has little to do.
 *
 * V8 has no reason to collect what is garbage where little is asked for. And glibc gives back what lies at the end of its
 * heap alone, so that after a burst of requests a few bytes that live on keep hundreds of mebibytes with them.
 */
export class FreedMemory {
  readonly #trim = trimOfGlibc();
  readonly #collectGarbage = collectorOfV8();
  readonly #everyMs: number;
  #idleLooks = 0;
  #looksToLeave = 0;
  #collectTime = Number.NEGATIVE_INFINITY;
  #pauseMs = collectPauseMs;
  #hadBurst = false;
  #utilization = performance.eventLoopUtilization();

  constructor({ everyMs = lookMs } = {}) {
    this.#everyMs = everyMs;
  }

  /** Collects what the start has left, a third of all, and then checks for as long as the process lives. */
  async start(): Promise<void> {
    await this.#collect(regular);
    setInterval(() => void this.#look(), this.#everyMs).unref();
  }

  async #look(): Promise<void> {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#utilization);
    this.#utilization = now;
    this.#hadBurst ||= utilization > burstShare || held() > burstBytes;
    if (held() < ownBytes) return;
    this.#giveBack();
    if (1 - utilization < freeTimeMin) this.#pauseMs = collectPauseMs;
    else if (performance.now() - this.#collectTime > this.#pauseMs) {
      const isShrinking = this.#hadBurst && 1 - utilization > shrinkFreeTimeMin;
      if (isShrinking) this.#hadBurst = false;
      await this.#collect(isShrinking ? { type: "major", flavor: "last-resort" } : regular);
    }
  }

  async #collect(options: NodeJS.GCOptions): Promise<void> {
    this.#collectTime = performance.now();
    const before = held();
    await this.#collectGarbage(options);
    this.#trim?.();
    const isLittle = before - held() < collectedBytes;
    this.#pauseMs = isLittle ? Math.min(2 * this.#pauseMs, collectPauseMaxMs) : collectPauseMs;
  }

  /** Takes 0.4 ms for each mebibyte that is given back, and 3 ms where there is none. */
  #giveBack(): void {
    this.#looksToLeave -= 1;
    if (this.#looksToLeave > 0) return;
    const before = held();
    this.#trim?.();
    this.#idleLooks = before - held() < littleBytes ? Math.min(this.#idleLooks + 1, idleLooksMax) : 0;
    this.#looksToLeave = this.#idleLooks;
  }
}

function held(): number {
  return process.memoryUsage.rss();
}

/** V8 has it for who asks at the start (`--expose-gc`), and for a context that is made later. */
function collectorOfV8(): NodeJS.GCFunction {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}

/**
 * https://man7.org/linux/man-pages/man3/malloc_trim.3.html; undefined where the process runs on another library than
 * glibc, or on a Node without `node:ffi` (before 26).
 */
function trimOfGlibc(): Trim | undefined {
  // Node warns of what is experimental when it is loaded. Where it changes, nothing is given back, and no more happens.
  const { emitWarning } = process;
  try {
    process.emitWarning = () => undefined;
    const ffi = process.getBuiltinModule("node:ffi");
    const { functions } = ffi.dlopen(null, { malloc_trim: { arguments: ["u64"], return: "i32" } });
    return () => void functions.malloc_trim(0n);
  } catch {
    return undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}
