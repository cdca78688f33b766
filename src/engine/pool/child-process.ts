import { type ChildProcess as NodeChildProcess, spawn } from "node:child_process";
import { setPriority } from "node:os";
import { extname, join } from "node:path";
import { Duplex } from "node:stream";
import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { type Frame, FrameReader } from "./frame.ts";
import type { TaskKind } from "./tasks.ts";

const mainFile = join(import.meta.dirname, `../child/pool-child${extname(import.meta.filename)}`);

/** The nice value of children, so that the process that renews the lease has priority over them. */
const niceness = 10;

/**
 * Flags of a child for scripts. The stack has room for the frames of WebAssembly, of which a script's own stack of 1 MiB makes
 * more; the system gives 8 MiB. V8 compiles on the main thread, since its threads would take 5 MB of an idle child.
 */
const codeFlags = ["--stack-size=3600", "--v8-pool-size=0"];

/** The time in which a child must load the code for a kind of task. */
const loadMs = 30_000;

/** Added to the limit of an output: the problems of a definition, or a schema that was derived from a sample. */
const replyBytesMax = 16 * 1024 ** 2;

/** How a task ended: with a reply, or with the death of its process. */
export type TaskOutcome =
  | { readonly kind: "reply"; readonly head: object; readonly texts: readonly string[] }
  /** The deadline passed. */
  | { readonly kind: "overdue" }
  | { readonly kind: "out_of_memory" }
  /** A bug of ours, with its stack. */
  | { readonly kind: "fault"; readonly stack: string }
  /** The process died for an unknown reason. */
  | { readonly kind: "lost" };

export type ChildOptions = {
  readonly limits: Limits;
  /** The folder of Node's compile cache. Absent where there is no safe one. */
  readonly cacheFolder: string | undefined;
  /** The kind of task whose code it loads before it is ready. A child that begins with scripts serves nothing else. */
  readonly firstKind: "query" | "code";
  /** Called once, when the child is ready for tasks. */
  readonly onReady: () => void;
  /** Called once, when the process has ended. */
  readonly onGone: () => void;
};

type Task = {
  readonly kind: TaskKind;
  readonly ms: number;
  readonly onBegin: () => void;
  readonly resolve: (end: TaskOutcome) => void;
  timer: NodeJS.Timeout;
};

/**
 * One child process, which runs one task at a time. It has a low priority, a memory limit, and neither the environment nor the
 * file descriptors of this process. Between tasks it keeps nothing but caches, so it can be killed at any time.
 */
export class ChildProcess {
  readonly #process: NodeChildProcess;
  readonly #channel: Duplex;
  readonly #options: ChildOptions;
  readonly #reader: FrameReader;
  readonly #gone = Promise.withResolvers<void>();
  /** The kinds of task whose code the child has loaded. */
  readonly #loadedKinds = new Set<TaskKind>();
  #task: Task | undefined;
  #isReady = false;
  #isOverdue = false;
  #isGone = false;
  /** The memory that the child held when it last sent a frame. */
  rssBytes = 0;

  constructor(options: ChildOptions) {
    const { limits, cacheFolder, firstKind } = options;
    this.#options = options;
    this.#reader = new FrameReader(limits.output.bytesMax + replyBytesMax);
    const flags = [`--max-old-space-size=${limits.childHeapMib}`, "--max-semi-space-size=4", "--single-threaded-gc"];
    const isForCode = firstKind === "code";
    if (isForCode) {
      flags.push(...codeFlags);
    }
    this.#loadedKinds.add(firstKind);
    const args = [...flags, mainFile, JSON.stringify(limits), String(process.pid), firstKind];
    this.#process = spawn(process.execPath, args, {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      env: {
        // All processes read times without a zone in the same way; scripts do so everywhere.
        TZ: isForCode ? "UTC" : new Intl.DateTimeFormat().resolvedOptions().timeZone,
        ...(cacheFolder !== undefined && { NODE_COMPILE_CACHE: cacheFolder }),
      },
    });
    const channel = this.#process.stdio[3];
    if (!(channel instanceof Duplex)) {
      throw new Error("a child process has no channel");
    }
    this.#channel = channel;
    this.#lowerPriority();
    this.#process.on("error", () => this.#handleEnd(null));
    this.#process.on("exit", (_code, signal) => this.#handleEnd(signal));
    // The task then ends with the process.
    channel.on("error", () => this.kill());
    channel.on("data", (chunk: Buffer) => this.#read(chunk));
  }

  /** Settles when the process has ended. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  get isReady(): boolean {
    return this.#isReady && !this.#isGone;
  }

  /**
   * Runs one task, and settles when it has ended. When its time is up, the process is killed.
   *
   * @param ms the time for the task
   * @param onBegin called when the child starts the task, with which its time starts
   */
  run(kind: TaskKind, frame: Buffer, { ms, onBegin }: { readonly ms: number; readonly onBegin: () => void }) {
    this.#setBusy(true);
    return new Promise<TaskOutcome>((resolve) => {
      const timer = setTimeout(() => this.#expire(), loadMs);
      this.#task = { kind, ms, onBegin, resolve, timer };
      this.#channel.write(frame);
      if (this.#loadedKinds.has(kind)) {
        this.#startTask();
      }
    });
  }

  #startTask(): void {
    if (this.#task === undefined) {
      return;
    }
    const { kind, ms, onBegin } = this.#task;
    this.#loadedKinds.add(kind);
    this.setTimeLeft(ms);
    onBegin();
  }

  /** Gives the running task this much time from now on. */
  setTimeLeft(ms: number): void {
    if (this.#task === undefined) {
      return;
    }
    clearTimeout(this.#task.timer);
    this.#task.timer = setTimeout(() => this.#expire(), ms);
  }

  kill(): void {
    // Keeps this process alive until the child has ended, since `stop` waits for that.
    this.#process.ref();
    this.#process.kill("SIGKILL");
  }

  #expire(): void {
    this.#isOverdue = true;
    this.kill();
  }

  #read(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) {
        this.#handle(frame);
      }
    } catch {
      this.kill();
    }
  }

  #handle({ head, texts }: Frame): void {
    // `pool-child.ts` wrote it.
    const message = head as { rssBytes: number } & (
      | { kind: "ready" }
      | { kind: "loaded" }
      | { kind: "reply"; reply: object }
      | { kind: "fault"; stack: string }
    );
    this.rssBytes = message.rssBytes;
    switch (message.kind) {
      case "ready":
        this.#isReady = true;
        this.#setBusy(false);
        this.#options.onReady();
        break;
      case "loaded":
        this.#startTask();
        break;
      case "reply":
        this.#settle({ kind: "reply", head: message.reply, texts });
        break;
      case "fault":
        this.#settle(message);
        break;
      default:
        unreachable(message);
    }
  }

  #settle(end: TaskOutcome): void {
    const task = this.#task;
    this.#task = undefined;
    clearTimeout(task?.timer);
    this.#setBusy(false);
    task?.resolve(end);
  }

  #handleEnd(signal: NodeJS.Signals | null): void {
    if (this.#isGone) {
      return;
    }
    this.#isGone = true;
    this.#channel.destroy();
    this.#gone.resolve();
    this.#options.onGone();
    // V8 aborts the process when the heap reaches its limit.
    const isOutOfMemory = signal === "SIGABRT" || signal === "SIGTRAP" || signal === "SIGILL";
    this.#settle({ kind: this.#isOverdue ? "overdue" : isOutOfMemory ? "out_of_memory" : "lost" });
  }

  /** An idle child does not keep this process alive. */
  #setBusy(isBusy: boolean): void {
    const channel = this.#channel as Duplex & { ref?: () => void; unref?: () => void };
    if (isBusy) {
      this.#process.ref();
      channel.ref?.();
    } else {
      this.#process.unref();
      channel.unref?.();
    }
  }

  #lowerPriority(): void {
    const { pid } = this.#process;
    if (pid === undefined) {
      return;
    }
    try {
      setPriority(pid, niceness);
    } catch {
      // The child has ended already; its exit event reports that.
    }
  }
}
