import type { DescField, DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";

/** The string fields that hold JSON with templates. The proto's comments document them so. */
export const jsonTextFields: ReadonlySet<string> = new Set([
  "ResponseNode.data",
  "GroupNode.output",
  "TryCatchNode.output",
  "TryCatchNode.catch_output",
  "HttpNode.json",
  "DataMapperNode.input",
  "DataMapperNode.mapping",
  "SubFlowNode.payload",
]);

/**
 * Parses JSON text with templates, so that a file can write it as an object, a list, a number or a boolean. A template
 * outside quotes gets quotes, which means the same. Undefined where the value would not become the same text again: numbers
 * that a double rounds, repeated names, or names that an object reorders.
 */
export function jsonInText(text: string): JsonValue | undefined {
  let json: JsonValue;
  try {
    json = JSON.parse(withQuotedTemplates(text));
  } catch {
    return undefined;
  }
  if (typeof json === "string" || json === null) {
    return undefined;
  }
  return isKept(text, json) ? json : undefined;
}

/** Normalises JSON text, so that white space makes no difference. */
export function normalJsonText(text: string): string {
  const json = jsonInText(text);
  return json === undefined ? text : JSON.stringify(json);
}

/** A message's JSON with all its JSON texts normalised. */
export function withNormalTexts(schema: DescMessage, json: JsonValue): JsonValue {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return json;
  }
  const members = Object.entries(json).map(([name, value]): [string, JsonValue] => {
    const field = schema.fields.find((candidate) => candidate.name === name);
    return [name, field === undefined ? value : normalField(field, value)];
  });
  return Object.fromEntries(members);
}

function normalField(field: DescField, value: JsonValue): JsonValue {
  if (Array.isArray(value)) {
    return value.map((item) => normalField(field, item));
  }
  if (typeof value === "string") {
    return jsonTextFields.has(`${field.parent.name}.${field.name}`) ? normalJsonText(value) : value;
  }
  const isOwn = field.message !== undefined && !field.message.typeName.startsWith("google.protobuf.");
  return isOwn && field.fieldKind !== "map" ? withNormalTexts(field.message, value) : value;
}

/** Puts quotes around the templates that stand outside of strings. */
function withQuotedTemplates(text: string): string {
  let isString = false;
  let written = "";
  for (let position = 0; position < text.length; ) {
    const letter = text[position] ?? "";
    const isTemplate = !isString && /^\{\{(?!\{)/.test(text.slice(position, position + 3));
    const end = isTemplate ? text.indexOf("}}", position) : -1;
    if (end > 0) {
      written += JSON.stringify(text.slice(position, end + 2));
      position = end + 2;
      continue;
    }
    if (letter === '"') {
      isString = !isString;
    }
    const step = isString && letter === "\\" ? 2 : 1;
    written += text.slice(position, position + step);
    position += step;
  }
  return written;
}

/**
 * Whether parsing kept everything: after a rounded number, a repeated name or a changed order, the tokens differ.
 */
function isKept(text: string, json: JsonValue): boolean {
  const [before, after] = [tokens(withQuotedTemplates(text)), tokens(JSON.stringify(json))];
  return before.length === after.length && before.every((token, index) => token === after[index]) && isWritable(json);
}

function tokens(text: string): readonly string[] {
  const found = text.match(/"(?:[^"\\]|\\.)*"|[^\s",:[\]{}]+|[,:[\]{}]/g) ?? [];
  return found.map((token) => (token.startsWith('"') ? JSON.stringify(JSON.parse(token)) : token));
}

function isWritable(json: JsonValue): boolean {
  if (typeof json === "string") {
    return json.isWellFormed();
  }
  if (typeof json !== "object" || json === null) {
    return true;
  }
  return Object.entries<JsonValue>(json as JsonObject).every(
    ([name, value]) => name.isWellFormed() && isWritable(value),
  );
}
