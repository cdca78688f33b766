import type { JsonObject } from "@bufbuild/protobuf";
import { parameters, stub } from "./import-stub.ts";
import { type NodeText, textMax } from "./node-text.ts";
import { objectsOf, textOf } from "./source-value.ts";
import type { SourceNode } from "./source-workflow.ts";

/** What the vendor calls JavaScript. */
const javaScript: ReadonlySet<string> = new Set(["", "javascript", "js", "63"]);

/** A script with its parameters. One in another language becomes a script that fails. */
export function importCode({ input }: SourceNode, text: NodeText): JsonObject {
  const fields = objectsOf(input["input_parameters"]).map(({ key, value }) => ({
    key: textOf(key).trim(),
    value: value ?? null,
  }));
  const language = textOf(input["code_language"]).toLowerCase();
  if (!javaScript.has(language)) {
    return stub(
      { code: "LANGUAGE_UNSUPPORTED", what: `A script in the language ${JSON.stringify(language)}`, fields },
      text,
    );
  }
  const code = textOf(input["code_string"]);
  if (code.length > textMax) {
    return stub({ code: "TEXT_SHORTENED", what: "A script of that length", fields }, text);
  }
  return { code: { parameters: parameters(fields, text), code } };
}

/** A mapper renames the members of an object, and drops those that its mapping does not name. */
export function importDataMapper({ input }: SourceNode, text: NodeText): JsonObject {
  const isLeft = textOf(input["direction"]).toLowerCase() === "left";
  const fields = ["input", "mapping"].map((key) => ({ key, value: input[key] ?? null }));
  return { code: { parameters: parameters(fields, text), code: isLeft ? mapper("to, from") : mapper("from, to") } };
}

function mapper(names: string): string {
  return `function yourFunction({ input, mapping }) {
  const renamed = {};
  for (const [${names}] of Object.entries(mapping ?? {})) {
    if (input?.[from] !== undefined) {
      renamed[to] = input[from];
    }
  }
  return renamed;
}
`;
}
