import { type ChildProcess, spawn } from "node:child_process";
import { setPriority } from "node:os";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { type Frame, FrameReader } from "./frame.ts";
import type { TaskKind } from "./tasks.ts";

const entry = fileURLToPath(new URL("../child/pool-child.ts", import.meta.url));

/** How much less of the processor children get than the process that holds leases. */
const niceness = 10;

/** How long a child may load what it does a kind of task with, when it is first asked for it. */
const loadMs = 30_000;

/** Beside an output: problems of a definition, a schema that was derived from a sample. */
const replyBytesMax = 16 * 1024 ** 2;

/** How a task ended: with a reply, or with its process. */
export type ChildEnd =
  | { readonly kind: "reply"; readonly head: object; readonly texts: readonly string[] }
  /** The deadline passed. */
  | { readonly kind: "overdue" }
  | { readonly kind: "out_of_memory" }
  /** A fault of ours, with the places that it came by. */
  | { readonly kind: "fault"; readonly stack: string }
  /** The process ended, and nobody knows why. */
  | { readonly kind: "lost" };

export type ChildOptions = {
  readonly limits: Limits;
  /** Where Node keeps what it has compiled of the sources; nowhere where it is absent. */
  readonly cacheFolder: string | undefined;
  /** Told once, when it can be given tasks. */
  readonly onReady: () => void;
  /** Told once, when the process has ended. */
  readonly onGone: () => void;
};

type Task = {
  readonly kind: TaskKind;
  readonly ms: number;
  readonly onBegin: () => void;
  readonly resolve: (end: ChildEnd) => void;
  timer: NodeJS.Timeout;
};

/**
 * One child process, which does one task at a time. It is niced, has a memory limit, and neither the environment nor the
 * descriptors of this process. It keeps nothing between tasks but what it has parsed, so it can be ended at any time.
 */
export class Child {
  readonly #process: ChildProcess;
  readonly #channel: Duplex;
  readonly #options: ChildOptions;
  readonly #reader: FrameReader;
  readonly #gone = Promise.withResolvers<void>();
  /** What it has loaded. */
  readonly #kinds = new Set<TaskKind>(["query"]);
  #task: Task | undefined;
  #isReady = false;
  #isOverdue = false;
  #isGone = false;
  /** The memory that it held when it last said so. */
  rssBytes = 0;

  constructor(options: ChildOptions) {
    const { limits, cacheFolder } = options;
    this.#options = options;
    this.#reader = new FrameReader(limits.output.bytesMax + replyBytesMax);
    const flags = [`--max-old-space-size=${limits.childHeapMib}`, "--max-semi-space-size=4", "--single-threaded-gc"];
    this.#process = spawn(process.execPath, [...flags, entry, JSON.stringify(limits), String(process.pid)], {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      env: {
        // Times without a zone are read the same in all processes.
        TZ: new Intl.DateTimeFormat().resolvedOptions().timeZone,
        ...(cacheFolder !== undefined && { NODE_COMPILE_CACHE: cacheFolder }),
      },
    });
    const channel = this.#process.stdio[3];
    if (!(channel instanceof Duplex)) throw new Error("a child process has no channel");
    this.#channel = channel;
    this.#lowerPriority();
    this.#process.on("error", () => this.#end(null));
    this.#process.on("exit", (_code, signal) => this.#end(signal));
    // What is under way then ends with the process.
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
   * Does one task, and settles when it has ended. Where the deadline passes, the process is killed.
   *
   * @param onBegin told when the child begins with it, and its time with that
   */
  run(kind: TaskKind, frame: Buffer, { ms, onBegin }: { readonly ms: number; readonly onBegin: () => void }) {
    this.#setBusy(true);
    return new Promise<ChildEnd>((resolve) => {
      const timer = setTimeout(() => this.#expire(), loadMs);
      this.#task = { kind, ms, onBegin, resolve, timer };
      this.#channel.write(frame);
      if (this.#kinds.has(kind)) this.#beginTask();
    });
  }

  #beginTask(): void {
    if (this.#task === undefined) return;
    const { kind, ms, onBegin } = this.#task;
    this.#kinds.add(kind);
    this.hurry(ms);
    onBegin();
  }

  /** Gives what it does so much time from now on, and kills it then. */
  hurry(ms: number): void {
    if (this.#task === undefined) return;
    clearTimeout(this.#task.timer);
    this.#task.timer = setTimeout(() => this.#expire(), ms);
  }

  kill(): void {
    // Whoever waits for its end is to live until then.
    this.#process.ref();
    this.#process.kill("SIGKILL");
  }

  #expire(): void {
    this.#isOverdue = true;
    this.kill();
  }

  #read(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#take(frame);
    } catch {
      this.kill();
    }
  }

  #take({ head, texts }: Frame): void {
    // Written by `pool-child.ts`.
    const told = head as { rssBytes: number } & (
      | { kind: "ready" }
      | { kind: "loaded" }
      | { kind: "reply"; reply: object }
      | { kind: "fault"; stack: string }
    );
    this.rssBytes = told.rssBytes;
    switch (told.kind) {
      case "ready":
        this.#isReady = true;
        this.#setBusy(false);
        this.#options.onReady();
        break;
      case "loaded":
        this.#beginTask();
        break;
      case "reply":
        this.#settle({ kind: "reply", head: told.reply, texts });
        break;
      case "fault":
        this.#settle(told);
        break;
      default:
        unreachable(told);
    }
  }

  #settle(end: ChildEnd): void {
    const task = this.#task;
    this.#task = undefined;
    clearTimeout(task?.timer);
    this.#setBusy(false);
    task?.resolve(end);
  }

  #end(signal: NodeJS.Signals | null): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#channel.destroy();
    this.#gone.resolve();
    this.#options.onGone();
    // V8 aborts where the heap's limit is reached.
    const isFull = signal === "SIGABRT" || signal === "SIGTRAP" || signal === "SIGILL";
    this.#settle({ kind: this.#isOverdue ? "overdue" : isFull ? "out_of_memory" : "lost" });
  }

  /** A child that does nothing keeps no process alive that has nothing else to do. */
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
    if (pid === undefined) return;
    try {
      setPriority(pid, niceness);
    } catch {
      // It has ended already, which is told elsewhere.
    }
  }
}
