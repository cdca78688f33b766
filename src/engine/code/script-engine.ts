// Runs scripts in QuickJS, compiled to WebAssembly.
//
// - The prelude runs once. Each script begins with the engine's memory as it was then, so nothing is left of the one before:
//   no value, no changed intrinsic, no entry of an allocator.
// - A script has limits of memory, stack and time. It reaches nothing but `answerScript` and its console. Its clock stands
//   still, and its random numbers are seeded.
// - QuickJS cannot interrupt some of its own loops, so the service kills a process that overruns its time.

import variantModule from "@jitl/quickjs-wasmfile-release-sync";
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from "quickjs-emscripten-core";
import type { ConsoleLine } from "../../domain/execution.ts";
import { MemoryImage } from "./memory-image.ts";
import { prelude } from "./prelude.ts";
import { consoleMax, type ScriptEnd, type ScriptOutcome } from "./script-end.ts";
import { answerScript } from "./text-functions.ts";

/** TypeScript declares WebAssembly for browsers alone. */
declare const WebAssembly: { readonly Memory: new (pages: Pages) => Memory };
type Memory = { readonly buffer: ArrayBuffer };
type Pages = { readonly initial: number; readonly maximum: number };

// The package declares its types for CommonJS, where the variant would be a member of the module.
const variant = variantModule as unknown as QuickJSSyncVariant;

const mebibyte = 1024 ** 2;
const memoryBytesMax = 128 * mebibyte;
const stackBytesMax = mebibyte;

/** The memory of the whole engine, above that of a script: its own structures, and what it allocates while it grows. */
const wasmPagesMax = (192 * mebibyte) / 65_536;
const wasmPagesMin = 256;

/** Promise jobs that run before the time is looked at. */
const jobsAtOnce = 1_000;

/** The time that a script's ended context still has to say how much more its console had. */
const lastWordsMs = 50;

/** One run of a script. */
export type Script = {
  readonly code: string;
  /** The JSON text of the parameters. */
  readonly params: string;
  /** The value of the clock, in milliseconds since 1970. */
  readonly now: number;
  /** Four 32-bit integers. */
  readonly seed: readonly number[];
  readonly timeoutMs: number;
};

export class ScriptEngine {
  readonly #memory: Memory;
  readonly #context: QuickJSContext;
  readonly #glue: Glue;
  readonly #image: MemoryImage;
  #console: ConsoleLine[] = [];
  #deadline = Number.POSITIVE_INFINITY;
  #isOverdue = false;
  #hasFailed = false;

  private constructor(module: QuickJSWASMModule, memory: Memory) {
    this.#memory = memory;
    const runtime = module.newRuntime({ memoryLimitBytes: memoryBytesMax, maxStackSizeBytes: stackBytesMax });
    runtime.setInterruptHandler(() => this.#checkTime());
    this.#context = runtime.newContext();
    this.#glue = this.#runPrelude();
    this.#image = new MemoryImage(memory, stackBytesMax);
  }

  /** Makes an engine, and runs a script in it: the first one takes longer, while V8 compiles the engine. */
  static async create(): Promise<ScriptEngine> {
    const memory = new WebAssembly.Memory({ initial: wasmPagesMin, maximum: wasmPagesMax });
    const module = await newQuickJSWASMModuleFromVariant(newVariant(variant, { wasmMemory: memory }));
    const engine = new ScriptEngine(module, memory);
    engine.run({ code: "function yourFunction() {}", params: "{}", now: 0, seed: [0, 0, 0, 0], timeoutMs: 10_000 });
    return engine;
  }

  /** Whether the engine should serve no other script: a run has failed in it, or made it grow. */
  get isWorn(): boolean {
    return this.#hasFailed || this.#memory.buffer.byteLength > 64 * mebibyte;
  }

  run(script: Script): ScriptEnd {
    if (this.#hasFailed) {
      throw new Error("the engine has failed before, and serves no other script");
    }
    const now = Date.now;
    // The engine's own clock: it is what Date reads in the script. The process serves scripts alone.
    Date.now = () => script.now;
    this.#console = [];
    try {
      return { outcome: this.#runAlone(script), console: this.#console };
    } catch (error) {
      // The engine itself has failed, most often because WebAssembly's stack is spent. Its state is not to be trusted.
      this.#hasFailed = true;
      const message = error instanceof RangeError ? "Maximum call stack size exceeded" : "The engine failed.";
      return { outcome: { kind: "thrown", name: "RangeError", message, stack: "" }, console: this.#console };
    } finally {
      Date.now = now;
    }
  }

  /** Handles that a run leaves need no disposal: the next one begins with the memory of before. */
  #runAlone(script: Script): ScriptOutcome {
    this.#image.restore();
    this.#setTimeLeft(script.timeoutMs);
    called(this.#context, this.#glue.seed, JSON.stringify(script.seed));
    const end = endOf(this.#context, this.#glue, script, () => this.#checkTime());
    this.#setTimeLeft(lastWordsMs);
    const made = called(this.#context, this.#glue.more);
    const more = made === undefined ? 0 : this.#context.getNumber(made);
    if (more > 0) {
      this.#console.push({ level: "INFO", text: `${more} more` });
    }
    return end;
  }

  #setTimeLeft(ms: number): void {
    this.#isOverdue = false;
    this.#deadline = performance.now() + ms;
  }

  /** Whether the script must end now. */
  #checkTime(): boolean {
    this.#isOverdue ||= performance.now() > this.#deadline;
    return this.#isOverdue;
  }

  #runPrelude(): Glue {
    const context = this.#context;
    const host = context.newFunction("host", (...handles) => {
      const [name = "", first = "", second = "", third = ""] = handles.map((handle) => context.getString(handle));
      if (name === "log") {
        this.#console.push({ level: first as ConsoleLine["level"], text: second });
        return context.undefined;
      }
      return context.newString(answerScript(name, first, second, third));
    });
    const make = context.unwrapResult(context.evalCode(prelude, "prelude.js"));
    const max = context.unwrapResult(context.evalCode(`(${JSON.stringify(consoleMax)})`, "prelude.js"));
    const glue = context.unwrapResult(context.callFunction(make, context.undefined, host, max));
    const of = (name: keyof Glue) => context.getProp(glue, name);
    return { seed: of("seed"), call: of("call"), end: of("end"), output: of("output"), more: of("more") };
  }
}

/** The functions of the prelude by which the service calls the author's. */
type Glue = Readonly<Record<"seed" | "call" | "end" | "output" | "more", QuickJSHandle>>;

function endOf(context: QuickJSContext, glue: Glue, script: Script, isOver: () => boolean): ScriptOutcome {
  const loaded = context.evalCode(script.code, codeFile, { type: "global" });
  if (loaded.error !== undefined) {
    return isOver() ? { kind: "timed_out" } : failureOf(context, loaded.error);
  }
  const result = context.callFunction(glue.call, context.undefined, context.newString(script.params));
  if (result.error !== undefined) {
    return isOver() ? { kind: "timed_out" } : failureOf(context, result.error);
  }
  const failure = runJobs(context, isOver);
  if (failure !== undefined) {
    return failure;
  }
  const text = textOf(context, glue.end);
  if (text === "") {
    return { kind: "never_settled" };
  }
  // The prelude wrote it.
  const end = JSON.parse(text) as { readonly kind: "output" } | Exclude<ScriptOutcome, { readonly kind: "output" }>;
  return end.kind === "output" ? { kind: "output", text: textOf(context, glue.output) } : end;
}

function textOf(context: QuickJSContext, run: QuickJSHandle): string {
  const made = called(context, run);
  return made === undefined ? "" : context.getString(made);
}

/** The name under which the stack of an error knows the author's code. */
const codeFile = "code.js";

/** Runs the promise jobs to their end. */
function runJobs(context: QuickJSContext, isOver: () => boolean): ScriptOutcome | undefined {
  while (context.runtime.hasPendingJob()) {
    const ran = context.runtime.executePendingJobs(jobsAtOnce);
    if (ran.error !== undefined) {
      return isOver() ? { kind: "timed_out" } : failureOf(context, ran.error);
    }
    if (isOver()) {
      return { kind: "timed_out" };
    }
  }
  return undefined;
}

/** An error that the prelude did not catch. */
function failureOf(context: QuickJSContext, handle: QuickJSHandle): ScriptOutcome {
  const read = (name: string) => {
    const member = context.getProp(handle, name);
    return context.typeof(member) === "string" ? context.getString(member) : "";
  };
  const isObject = context.typeof(handle) === "object";
  return {
    kind: "thrown",
    name: isObject ? read("name") : "",
    message: isObject ? read("message") : String(context.dump(handle)),
    stack: isObject ? read("stack") : "",
  };
}

/** Calls a function of the prelude; undefined where it threw, which it does only when its time is up. */
function called(context: QuickJSContext, run: QuickJSHandle, text?: string): QuickJSHandle | undefined {
  const parameters = text === undefined ? [] : [context.newString(text)];
  const result = context.callFunction(run, context.undefined, ...parameters);
  return result.error === undefined ? result.value : undefined;
}
