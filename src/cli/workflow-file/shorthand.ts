import type { DescField, DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { jsonInText, jsonTextFields } from "./json-text-field.ts";

/**
 * Converts between the shorthand of workflow files and the proto's JSON:
 *
 * - a number or a boolean for a string field: `right: 1000`;
 * - an object or a list for a field of JSON text: `data: { total: "{{node.Total.body}}" }`;
 * - a map for a list of names and values: `headers: { accept: application/json }`.
 *
 * Both forms are the same definition, so push and pull see no difference between them.
 */

/** Answers how a number is written in the file, so that `1.10` becomes the text "1.10". */
export type SpellingOf = (path: readonly (string | number)[]) => string | undefined;

type Path = readonly (string | number)[];

/** Expands shorthand to a message's JSON. Invalid values stay; the message's own check reports them. */
export function expanded(schema: DescMessage, json: JsonValue, spelling: SpellingOf, path: Path): JsonValue {
  if (!isObject(json)) {
    return json;
  }
  const members = Object.entries(json).map(([name, value]): [string, JsonValue] => {
    const field = schema.fields.find((candidate) => candidate.name === name);
    return [name, field === undefined ? value : expandedField(field, value, spelling, [...path, name])];
  });
  return Object.fromEntries(members);
}

/** Expands one field. */
export function expandedField(field: DescField, value: JsonValue, spelling: SpellingOf, path: Path): JsonValue {
  if (field.fieldKind === "list") {
    const name = pairName(field.message);
    if (name !== undefined && isObject(value)) {
      return pairs(field, { name, value }, spelling, path);
    }
    if (!Array.isArray(value)) {
      return value;
    }
    return value.map((item, index) => expandedOne(field, item, spelling, [...path, index]));
  }
  return field.fieldKind === "map" ? value : expandedOne(field, value, spelling, path);
}

function expandedOne(field: DescField, value: JsonValue, spelling: SpellingOf, path: Path): JsonValue {
  if (isOwn(field.message)) {
    return expanded(field.message, value, spelling, path);
  }
  if (field.scalar !== ScalarType.STRING) {
    return value;
  }
  if (typeof value === "number") {
    return spelling(path) ?? String(value);
  }
  if (typeof value === "boolean") {
    return String(value);
  }
  if (jsonTextFields.has(keyOf(field)) && typeof value === "object" && value !== null) {
    return JSON.stringify(value);
  }
  return value;
}

function pairs(
  field: DescField,
  { name, value }: { readonly name: string; readonly value: JsonObject },
  spelling: SpellingOf,
  path: Path,
): JsonValue {
  return Object.entries(value).map(([key, member]): JsonValue => {
    const item = isObject(member) ? member : { value: expandedText(member, spelling, [...path, key]) };
    // pairName answers only for messages.
    const message = field.message as DescMessage;
    return { [name]: key, ...Object(expanded(message, item, spelling, [...path, key])) };
  });
}

function expandedText(value: JsonValue, spelling: SpellingOf, path: Path): JsonValue {
  return typeof value === "number"
    ? (spelling(path) ?? String(value))
    : typeof value === "boolean"
      ? String(value)
      : value;
}

/** Shortens a message's JSON to the briefest form that expands to the same JSON. */
export function compact(schema: DescMessage, json: JsonObject): JsonObject {
  const members = Object.entries(json).map(([name, value]): [string, JsonValue] => {
    const field = schema.fields.find((candidate) => candidate.name === name);
    return [name, field === undefined ? value : compactField(field, value)];
  });
  return Object.fromEntries(members);
}

/** Shortens one field. */
export function compactField(field: DescField, value: JsonValue): JsonValue {
  if (field.fieldKind === "list" && Array.isArray(value)) {
    const items = value.map((item) => compactOne(field, item));
    const name = pairName(field.message);
    return name === undefined ? items : (mapOf(items, name) ?? items);
  }
  return field.fieldKind === "map" ? value : compactOne(field, value);
}

function compactOne(field: DescField, value: JsonValue): JsonValue {
  if (isOwn(field.message)) {
    return isObject(value) ? compact(field.message, value) : value;
  }
  if (typeof value !== "string") {
    return value;
  }
  if (jsonTextFields.has(keyOf(field))) {
    return jsonInText(value) ?? value;
  }
  return valueFields.has(keyOf(field)) ? scalarOf(value) : value;
}

/** A list of names and values as a map, unless names repeat, or look like integers, which an object would reorder. */
function mapOf(items: readonly JsonValue[], name: string): JsonObject | undefined {
  const members = items.map((item): [string, JsonValue] => {
    const { [name]: key = "", value = "", ...rest } = isObject(item) ? item : {};
    return [String(key), Object.keys(rest).length === 0 ? value : { value, ...rest }];
  });
  const names = new Set(members.map(([key]) => key));
  const isKept = names.size === members.length && ![...names].some((key) => key === "" || /^\d+$/.test(key));
  return isKept && members.length > 0 ? Object.fromEntries(members) : undefined;
}

/** String fields that are most often numbers or booleans. Names and ids are not among them. */
const valueFields: ReadonlySet<string> = new Set([
  "Comparison.left",
  "Comparison.right",
  "OutputField.value",
  "HttpField.value",
  "HttpHeader.value",
  "HttpPart.value",
  "DelayNode.seconds",
  "GroupNode.count",
]);

function scalarOf(text: string): JsonValue {
  if (text === "true" || text === "false") {
    return text === "true";
  }
  const number = Number(text);
  const isSame = /^-?\d+(\.\d+)?$/.test(text) && String(number) === text;
  return isSame && (!Number.isInteger(number) || Number.isSafeInteger(number)) ? number : text;
}

/** The field that holds the name, if a list's items are names and values. */
export function pairName(message: DescMessage | undefined): "key" | "name" | undefined {
  const names = new Set(message?.fields.flatMap((field) => (field.scalar === ScalarType.STRING ? [field.name] : [])));
  if (!names.has("value")) {
    return undefined;
  }
  return names.has("key") ? "key" : names.has("name") ? "name" : undefined;
}

function isOwn(message: DescMessage | undefined): message is DescMessage {
  return message !== undefined && !message.typeName.startsWith("google.protobuf.");
}

function keyOf(field: DescField): string {
  return `${field.parent.name}.${field.name}`;
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
