import type { JsonText } from "../../domain/json/json-text.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { type CodeNode, CodeNode_Language } from "../../gen/flowcall/v1/definition_pb.ts";
import { checkCode } from "../code/check-code.ts";
import { type FailureReason, NodeFailure } from "../errors/node-failure.ts";
import { DataTexts } from "../pool/data-texts.ts";
import type { TaskRequest } from "../pool/tasks.ts";
import { seedWords } from "../query/functions/seeded-random.ts";
import type { Field } from "../templates/field.ts";
import { type CompiledInput, compileInput } from "../templates/text-template.ts";
import { CheckedOutput } from "../values/check-output.ts";
import { DataSizes } from "../values/data-size.ts";
import type { Attempt, Leaf, LeafTools } from "./leaf.ts";

type Parameter = CompiledInput & { readonly key: string };

/** Runs JavaScript in a child process. Its function gets the parameters, and gives the output. */
export function compileCode({ language, parameters, code }: CodeNode, { field }: LeafTools): Leaf {
  if (language === CodeNode_Language.LANGUAGE_UNSPECIFIED) {
    field
      .member("language")
      .error("LANGUAGE_UNSUPPORTED", "Code is in JavaScript here. Set language to JAVASCRIPT, or leave it out.");
  }
  const codeField = field.member("code");
  if (codeField.isWithin(code, "queryMax") && field.isNew) {
    checkCode(code, codeField);
  }
  const keys = new Set<string>();
  const compiled = parameters.map(({ key, value }, index): Parameter => {
    const member = field.member(`parameters[${index}]`);
    checkKey(key, keys, member.member("key"));
    return { key, ...compileInput(value, member.member("value")) };
  });
  const sizes = new DataSizes();
  return { run: (attempt) => runCode(code, compiled, sizes, attempt), isComputation: true };
}

function checkKey(key: string, keys: Set<string>, field: Field): void {
  if (key.length === 0 || key.length > keyCharsMax) {
    field.error("PARAMETER_INVALID", `The name of a parameter must have 1 to ${keyCharsMax} characters.`);
  } else if (keys.has(key)) {
    field.error("PARAMETER_DUPLICATE", `Another parameter has the name "${key}". Give each a name of its own.`);
  }
  keys.add(key);
}

const keyCharsMax = 128;

async function runCode(
  code: string,
  parameters: readonly Parameter[],
  sizes: DataSizes,
  attempt: Attempt,
): Promise<CheckedOutput> {
  const { executionId, path, startTime, timeoutMs } = attempt;
  const values = parameters.map(({ key, template, reference }) => ({
    key,
    value: template.render(attempt.scope),
    reference,
  }));
  const request = (): TaskRequest<"code"> => {
    const texts = new DataTexts(attempt.scope, sizes);
    const params = values.map(({ key, ...data }) => ({ key, data: texts.add(data) }));
    const seed = seedWords(`${executionId}\n${path}`);
    return { head: { code, params, timeoutMs, startTime, seed }, texts: texts.all };
  };
  const { pool, tenantPath, signal } = attempt;
  const end = await attempt.work(() => pool.run("code", { request, path: tenantPath, signal, timeoutMs }));
  switch (end.kind) {
    case "reply": {
      attempt.keepConsole(end.head.console);
      if (end.head.kind === "output") {
        // The child has checked the text of its output.
        return new CheckedOutput((end.texts[0] ?? "null") as JsonText);
      }
      // The child took the reason from a NodeFailure.
      throw new NodeFailure(end.head.reason as FailureReason, end.head.message, { isFinal: true });
    }
    case "overdue":
      throw new NodeFailure("NODE_TIMED_OUT", `The script took longer than ${timeoutMs} ms.`);
    case "out_of_memory":
      throw new NodeFailure("CODE_OUT_OF_MEMORY", "The script needed more memory than a child process has.");
    case "lost":
      throw new NodeFailure("CODE_WORKER_LOST", "The child process that ran the script died three times. Try again.");
    default:
      return unreachable(end);
  }
}
