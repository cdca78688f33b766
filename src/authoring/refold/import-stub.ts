import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { IssueCode } from "./import-issue.ts";
import type { NeedList } from "./needs.ts";
import type { NodeText } from "./node-text.ts";
import { isEmpty, objectsOf, plainOf, textOf } from "./source-value.ts";
import type { SourceNode } from "./source-workflow.ts";

const parametersMax = 100;
const keyMax = 128;

/**
 * A node that cannot be imported, as a script that gets what the original got and fails. A test gives such a node its output,
 * and a person replaces it.
 */
export function stub(
  { code, what, fields }: { readonly code: IssueCode; readonly what: string; readonly fields: readonly StubField[] },
  text: NodeText,
): JsonObject {
  const message = `${what} is not part of an export. Replace the node, and give it its output in tests.`;
  text.issues.warn(code, message, text.place("type"));
  const reason = `${code}: ${message}`;
  return {
    code: {
      parameters: parameters(fields, text),
      code: `function yourFunction() {\n  throw new Error(${JSON.stringify(reason)});\n}\n`,
    },
  };
}

/** An operation of an application. What it was not given is left out: an update would erase it. */
export function importAction(node: SourceNode, text: NodeText, needs: NeedList): JsonObject {
  const { type, action, input, document } = node;
  const isOwn = type === "custom";
  const slug = isOwn ? textOf(document["application_slug"]) || textOf(document["application_id"]) || "custom" : type;
  const operation = isOwn ? textOf(document["action_operation_id"]) || action : action;
  const fields = fieldsOf(input);
  needs.call({ slug, operation, nodeId: text.nodeId, parameters: fields.map(({ key }) => key) });
  return stub({ code: "ACTION_NOT_IMPORTED", what: `The action ${slug}/${operation}`, fields }, text);
}

/** A function of the organisation, by its name. */
export function importFunction({ input }: SourceNode, text: NodeText, needs: NeedList): JsonObject {
  const { internal_function_name: given, ...rest } = input;
  const name = textOf(given) || "unnamed";
  const fields = fieldsOf(rest);
  needs.callFunction({ operation: name, nodeId: text.nodeId, parameters: fields.map(({ key }) => key) });
  return stub({ code: "FUNCTION_NOT_IMPORTED", what: `The function ${JSON.stringify(name)}`, fields }, text);
}

export type StubField = { readonly key: string; readonly value: JsonValue };

/** The fields of a node that were given something. */
export function fieldsOf(input: JsonObject): readonly StubField[] {
  return Object.entries(input)
    .filter(([key]) => !key.startsWith("#"))
    .map(([key, value]) => ({ key, value: given(plainOf(value)) }))
    .filter(({ value }) => !isEmpty(value));
}

/** A list without the items that say nothing. */
function given(value: JsonValue): JsonValue {
  return Array.isArray(value)
    ? value.filter((item) => !objectsOf([item]).some((own) => Object.values(own).every(isEmpty)))
    : value;
}

/** The parameters of a script, each name once. */
export function parameters(fields: readonly StubField[], text: NodeText): JsonObject[] {
  const byKey = new Map(
    fields.filter(({ key }) => key !== "" && key.length <= keyMax).map((field) => [field.key, field]),
  );
  const kept = [...byKey.values()].slice(0, parametersMax);
  if (kept.length < fields.length) {
    const message =
      "Parameters without a name, with a name of others or a too long one, and those after the hundredth, are left out.";
    text.issues.warn("PARAMETER_DROPPED", message, text.place("input_data"));
  }
  return kept.map(({ key, value }) => ({ key, value: text.of(value, `input_data.${key}`) }));
}
