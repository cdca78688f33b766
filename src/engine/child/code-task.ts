import type { JsonValue } from "@bufbuild/protobuf";
import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { ScriptOutcome } from "../code/script-end.ts";
import { ScriptEngine } from "../code/script-engine.ts";
import { type FailureReason, NodeFailure } from "../errors/node-failure.ts";
import { resolveData } from "../pool/data-texts.ts";
import type { CodeRequest, RunTask } from "../pool/tasks.ts";
import { checkOutput } from "../values/check-output.ts";

/** Runs the scripts of Code nodes, and checks their results as `checkOutput` does. */
export async function createCodeTask(limits: Limits): Promise<RunTask<"code">> {
  const engine = await ScriptEngine.create();
  return ({ head, texts }) => {
    const params = paramsOf(head, texts);
    if (params.length > limits.payload.bytesMax) {
      const message = `The parameters have more than ${limits.payload.bytesMax} bytes (limit payload.bytesMax). Pass less to the script.`;
      return {
        head: { kind: "failure", reason: "PARAMETERS_TOO_LARGE", message, console: [], isWorn: false },
        texts: [],
      };
    }
    const { outcome, console } = engine.run({
      code: head.code,
      params,
      now: head.startTime,
      seed: head.seed,
      timeoutMs: head.timeoutMs,
    });
    const { isWorn } = engine;
    try {
      return { head: { kind: "output", console, isWorn }, texts: [outputOf(outcome, head, limits)] };
    } catch (error) {
      if (!(error instanceof NodeFailure)) {
        throw error;
      }
      const { reason, message } = error;
      return { head: { kind: "failure", reason, message, console, isWorn: isWorn || wearsOut(reason) }, texts: [] };
    }
  };
}

/** The JSON text of the object of parameters; a value that does not resolve is null. */
function paramsOf({ params }: CodeRequest, texts: readonly string[]): string {
  const resolve = resolveData(texts);
  return JSON.stringify(Object.fromEntries(params.map(({ key, data }) => [key, resolve(data) ?? null])));
}

function wearsOut(reason: FailureReason): boolean {
  return reason === "NODE_TIMED_OUT" || reason === "CODE_OUT_OF_MEMORY";
}

function outputOf(outcome: ScriptOutcome, { timeoutMs }: CodeRequest, { output }: Limits): string {
  switch (outcome.kind) {
    case "output":
      // QuickJS wrote the text as JSON.
      return checkOutput(JSON.parse(outcome.text) as JsonValue, output);
    case "thrown":
      throw failureOf(outcome);
    case "invalid":
      throw final(
        "OUTPUT_INVALID",
        `The result of yourFunction is nothing that JSON can hold: ${outcome.message.slice(0, messageMax)}`,
      );
    case "no_function":
      throw final("CODE_FUNCTION_MISSING", "The code defines no function yourFunction. Define it.");
    case "never_settled":
      throw final("CODE_ERROR", "The promise never settles: nothing is left that could.");
    case "timed_out":
      throw final("NODE_TIMED_OUT", `The script took longer than ${timeoutMs} ms.`);
    default:
      return unreachable(outcome);
  }
}

const messageMax = 900;

function failureOf({
  name,
  message,
  stack,
}: Extract<ScriptOutcome, { readonly kind: "thrown" | "invalid" }>): NodeFailure {
  if (name === "InternalError" && message === "out of memory") {
    return final("CODE_OUT_OF_MEMORY", "The script needed more than 128 MiB of memory.");
  }
  const [, line, column] = /\bcode\.js:(\d{1,6}):(\d{1,6})/.exec(stack) ?? [];
  const place = line === undefined ? "" : ` (line ${line}, column ${column})`;
  const text = (message === "" ? name || "The script threw a value without a message." : message).slice(0, messageMax);
  return final(name === "CODE_MODULE_UNKNOWN" ? name : "CODE_ERROR", `${text}${place}`);
}

/** A script gives the same again. */
function final(reason: FailureReason, message: string): NodeFailure {
  return new NodeFailure(reason, message, { isFinal: true });
}
