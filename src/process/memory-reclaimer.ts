import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const mebibyte = 1024 ** 2;

/** How often the memory of the process is checked. */
const checkMs = 5_000;

/** The resident memory of a process that has nothing to give back. */
const restingBytes = 128 * mebibyte;

/** Backoff of `malloc_trim`: after a trim that gives back less than this, one more check is skipped, up to the maximum. */
const trimmedBytesMin = 4 * mebibyte;
const skippedChecksMax = 5;

/**
 * Garbage is collected if the event loop was idle for this share of the time since the last check, and the pause after the
 * last collection is over. The pause doubles with each collection that frees little: what a burst leaves becomes garbage
 * only when the last of its connections has closed, so that one collection is not enough.
 */
const idleShareMin = 0.4;
const collectPauseMs = 15_000;
const collectPauseMaxMs = 120_000;
const collectedBytesMin = 16 * mebibyte;

/**
 * After a burst, the first collection while the event loop is mostly idle is V8's last resort: it also shrinks the young
 * generation, which otherwise keeps up to 32 MiB, and drops unused compiled code. It stops the event loop for some 200 ms,
 * so it takes place once per burst.
 */
const burstBytes = 200 * mebibyte;
const burstBusyShare = 0.6;
const lastResortIdleShareMin = 0.7;

const regularCollection: NodeJS.GCOptions = { type: "major", execution: "async" };

/**
 * Gives freed memory back to the operating system while the process has little to do.
 *
 * V8 collects no garbage while little is allocated. And glibc returns only the end of its heap by itself: after a burst of
 * requests, a few live bytes keep hundreds of free mebibytes.
 */
export class MemoryReclaimer {
  readonly #trim = findMallocTrim();
  readonly #collectGarbage = findGarbageCollector();
  readonly #everyMs: number;
  #skippedChecks = 0;
  #checksToSkip = 0;
  #collectTime = Number.NEGATIVE_INFINITY;
  #pauseMs = collectPauseMs;
  #hadBurst = false;
  #utilization = performance.eventLoopUtilization();

  constructor({ everyMs = checkMs } = {}) {
    this.#everyMs = everyMs;
  }

  /** Collects the garbage of the start, a third of the memory, and then checks for the lifetime of the process. */
  async start(): Promise<void> {
    await this.#collect(regularCollection);
    setInterval(() => void this.#check(), this.#everyMs).unref();
  }

  async #check(): Promise<void> {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#utilization);
    this.#utilization = now;
    this.#hadBurst ||= utilization > burstBusyShare || residentBytes() > burstBytes;
    if (residentBytes() < restingBytes) {
      return;
    }
    this.#trimWithBackoff();
    if (1 - utilization < idleShareMin) {
      this.#pauseMs = collectPauseMs;
    } else if (performance.now() - this.#collectTime > this.#pauseMs) {
      const isLastResort = this.#hadBurst && 1 - utilization > lastResortIdleShareMin;
      if (isLastResort) {
        this.#hadBurst = false;
      }
      await this.#collect(isLastResort ? { type: "major", flavor: "last-resort" } : regularCollection);
    }
  }

  async #collect(options: NodeJS.GCOptions): Promise<void> {
    this.#collectTime = performance.now();
    const before = residentBytes();
    await this.#collectGarbage(options);
    this.#trim?.();
    const isLittle = before - residentBytes() < collectedBytesMin;
    this.#pauseMs = isLittle ? Math.min(2 * this.#pauseMs, collectPauseMaxMs) : collectPauseMs;
  }

  /** A trim takes 0.4 ms for each mebibyte that it gives back, and 3 ms if there is none. */
  #trimWithBackoff(): void {
    this.#checksToSkip -= 1;
    if (this.#checksToSkip > 0) {
      return;
    }
    const before = residentBytes();
    this.#trim?.();
    const isLittle = before - residentBytes() < trimmedBytesMin;
    this.#skippedChecks = isLittle ? Math.min(this.#skippedChecks + 1, skippedChecksMax) : 0;
    this.#checksToSkip = this.#skippedChecks;
  }
}

function residentBytes(): number {
  return process.memoryUsage.rss();
}

/** `gc` exists in processes that start with `--expose-gc`, and in contexts that are created after the flag is set. */
function findGarbageCollector(): NodeJS.GCFunction {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}

/**
 * https://man7.org/linux/man-pages/man3/malloc_trim.3.html. Undefined if the C library is not glibc, or Node has no
 * `node:ffi` (before 26).
 */
function findMallocTrim(): (() => void) | undefined {
  // `node:ffi` is experimental, and Node warns when it is loaded. If its interface changes, memory is not given back.
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
