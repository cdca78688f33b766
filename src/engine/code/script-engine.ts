// Runs scripts in QuickJS, compiled to WebAssembly.
//
// - A script has a runtime of its own, with limits of memory, stack and time; nothing of it is left for the next one.
// - It reaches nothing but `answerScript` and its console. Its clock stands still, and its random numbers are seeded.
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
import { prelude } from "./prelude.ts";
import { consoleMax, type ScriptEnd, type ScriptOutcome } from "./script-end.ts";
import { answerScript } from "./text-functions.ts";

/** TypeScript declares WebAssembly for browsers alone. */
declare const WebAssembly: { readonly Memory: new (pages: Pages) => { readonly buffer: ArrayBuffer } };
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
  #module: QuickJSWASMModule | undefined;

  private constructor(module: QuickJSWASMModule) {
    this.#module = module;
  }

  /** Makes an engine, and runs a script in it: the first one takes hundreds of milliseconds, while V8 compiles the engine. */
  static async create(): Promise<ScriptEngine> {
    const wasmMemory = new WebAssembly.Memory({ initial: wasmPagesMin, maximum: wasmPagesMax });
    const engine = new ScriptEngine(await newQuickJSWASMModuleFromVariant(newVariant(variant, { wasmMemory })));
    engine.run({ code: "function yourFunction() {}", params: "{}", now: 0, seed: [0, 0, 0, 0], timeoutMs: 10_000 });
    return engine;
  }

  /** Whether the engine should serve no other script: a run has failed in it, or made it grow. */
  get isWorn(): boolean {
    return this.#module === undefined || this.#module.getWasmMemory().buffer.byteLength > 64 * mebibyte;
  }

  run(script: Script): ScriptEnd {
    const module = this.#module;
    if (module === undefined) {
      throw new Error("the engine has failed before, and serves no other script");
    }
    const now = Date.now;
    // The engine's own clock: it is what Date reads in the script. The process serves scripts alone.
    Date.now = () => script.now;
    const console: ConsoleLine[] = [];
    try {
      return { outcome: runIn(module, script, console), console };
    } catch (error) {
      // The engine itself has failed, most often because WebAssembly's stack is spent. Its state is not to be trusted.
      this.#module = undefined;
      const message = error instanceof RangeError ? "Maximum call stack size exceeded" : "The engine failed.";
      return { outcome: { kind: "thrown", name: "RangeError", message, stack: "" }, console };
    } finally {
      Date.now = now;
    }
  }
}

function runIn(module: QuickJSWASMModule, script: Script, console: ConsoleLine[]): ScriptOutcome {
  let deadline = performance.now() + script.timeoutMs;
  let isOverdue = false;
  const runtime = module.newRuntime({ memoryLimitBytes: memoryBytesMax, maxStackSizeBytes: stackBytesMax });
  const context = runtime.newContext();
  runtime.setInterruptHandler(() => {
    isOverdue ||= performance.now() > deadline;
    return isOverdue;
  });
  const glue = glueOf(context, script, console);
  const end = endOf(context, glue, script, () => isOverdue || performance.now() > deadline);
  isOverdue = false;
  deadline = performance.now() + lastWordsMs;
  const more = numberOf(context, glue, "more");
  glue.dispose();
  context.dispose();
  runtime.dispose();
  if (more > 0) {
    console.push({ level: "INFO", text: `${more} more` });
  }
  return end;
}

/** The object of the prelude. */
function glueOf(context: QuickJSContext, { seed }: Script, console: ConsoleLine[]): QuickJSHandle {
  const host = context.newFunction("host", (...handles) => {
    const [name = "", first = "", second = "", third = ""] = handles.map((handle) => context.getString(handle));
    if (name === "log") {
      console.push({ level: first as ConsoleLine["level"], text: second });
      return context.undefined;
    }
    return context.newString(answerScript(name, first, second, third));
  });
  const make = context.unwrapResult(context.evalCode(prelude, "prelude.js"));
  const words = context.unwrapResult(context.evalCode(`(${JSON.stringify([seed, consoleMax])})`, "prelude.js"));
  const [seedHandle, maxHandle] = [context.getProp(words, 0), context.getProp(words, 1)];
  const glue = context.unwrapResult(context.callFunction(make, context.undefined, host, seedHandle, maxHandle));
  for (const handle of [host, make, words, seedHandle, maxHandle]) {
    handle.dispose();
  }
  return glue;
}

function endOf(context: QuickJSContext, glue: QuickJSHandle, script: Script, isOver: () => boolean): ScriptOutcome {
  const loaded = context.evalCode(script.code, codeFile, { type: "global" });
  if (loaded.error !== undefined) {
    return isOver() ? { kind: "timed_out" } : failureOf(context, loaded.error);
  }
  loaded.value.dispose();
  const found = context.evalCode("typeof yourFunction === 'function' ? yourFunction : undefined", "find.js");
  if (found.error !== undefined) {
    return failureOf(context, found.error);
  }
  if (context.typeof(found.value) !== "function") {
    found.value.dispose();
    return { kind: "no_function" };
  }
  const params = context.newString(script.params);
  const call = context.getProp(glue, "call");
  const result = context.callFunction(call, context.undefined, found.value, params);
  for (const handle of [params, call, found.value]) {
    handle.dispose();
  }
  if (result.error !== undefined) {
    return isOver() ? disposed(result.error, { kind: "timed_out" }) : failureOf(context, result.error);
  }
  result.value.dispose();
  const failure = runJobs(context, isOver);
  const text = failure ?? textOf(context, glue, "end");
  if (typeof text !== "string") {
    return text;
  }
  // The prelude wrote it.
  return text === "" ? { kind: "never_settled" } : (JSON.parse(text) as ScriptOutcome);
}

/** The name under which the stack of an error knows the author's code. */
const codeFile = "code.js";

/** Runs the promise jobs to their end. */
function runJobs(context: QuickJSContext, isOver: () => boolean): ScriptOutcome | undefined {
  while (context.runtime.hasPendingJob()) {
    const ran = context.runtime.executePendingJobs(jobsAtOnce);
    if (ran.error !== undefined) {
      return isOver() ? disposed(ran.error, { kind: "timed_out" }) : failureOf(context, ran.error);
    }
    if (isOver()) {
      return { kind: "timed_out" };
    }
  }
  return undefined;
}

function disposed(handle: QuickJSHandle, end: ScriptOutcome): ScriptOutcome {
  handle.dispose();
  return end;
}

/** An error that the prelude did not catch. */
function failureOf(context: QuickJSContext, handle: QuickJSHandle): ScriptOutcome {
  const read = (name: string) => {
    const member = context.getProp(handle, name);
    const text = context.typeof(member) === "string" ? context.getString(member) : "";
    member.dispose();
    return text;
  };
  const isObject = context.typeof(handle) === "object";
  const message = isObject ? read("message") : String(context.dump(handle));
  const end = {
    kind: "thrown",
    name: isObject ? read("name") : "",
    message,
    stack: isObject ? read("stack") : "",
  } as const;
  return disposed(handle, end);
}

function textOf(context: QuickJSContext, glue: QuickJSHandle, name: string): string {
  const made = called(context, glue, name);
  const text = made === undefined ? "" : context.getString(made);
  made?.dispose();
  return text;
}

function numberOf(context: QuickJSContext, glue: QuickJSHandle, name: string): number {
  const made = called(context, glue, name);
  const number = made === undefined ? 0 : context.getNumber(made);
  made?.dispose();
  return number;
}

function called(context: QuickJSContext, glue: QuickJSHandle, name: string): QuickJSHandle | undefined {
  const member = context.getProp(glue, name);
  const result = context.callFunction(member, context.undefined);
  member.dispose();
  if (result.error !== undefined) {
    result.error.dispose();
    return undefined;
  }
  return result.value;
}
