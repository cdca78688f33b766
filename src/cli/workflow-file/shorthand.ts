import type { DescField, DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { jsonInText, jsonTextFields } from "./json-text-field.ts";

/**
 * What a workflow file may say more briefly than the proto does, and how each becomes the other:
 *
 * - a number or a boolean where the proto wants a text: `right: 1000`;
 * - an object or a list where it wants JSON text: `data: { total: "{{node.Total.body}}" }`;
 * - a map where it wants a list of names and values: `headers: { accept: application/json }`.
 *
 * A definition is the same whichever way it is written, and so push and pull do not see a difference.
 */

/** The spelling of a number in the file, by its path, so that `1.10` becomes a text as it is written. */
export type SpellingOf = (path: readonly (string | number)[]) => string | undefined;

type Path = readonly (string | number)[];

/** The JSON of a message from what a file says. What is wrong stays as it is, for whoever reads the message to tell. */
export function expanded(schema: DescMessage, json: JsonValue, spelling: SpellingOf, path: Path): JsonValue {
  if (!isObject(json)) return json;
  const members = Object.entries(json).map(([name, value]): [string, JsonValue] => {
    const field = schema.fields.find((candidate) => candidate.name === name);
    return [name, field === undefined ? value : expandedField(field, value, spelling, [...path, name])];
  });
  return Object.fromEntries(members);
}

/** The same of one field. */
export function expandedField(field: DescField, value: JsonValue, spelling: SpellingOf, path: Path): JsonValue {
  if (field.fieldKind === "list") {
    const name = pairName(field.message);
    if (name !== undefined && isObject(value)) return pairs(field, { name, value }, spelling, path);
    if (!Array.isArray(value)) return value;
    return value.map((item, index) => expandedOne(field, item, spelling, [...path, index]));
  }
  return field.fieldKind === "map" ? value : expandedOne(field, value, spelling, path);
}

function expandedOne(field: DescField, value: JsonValue, spelling: SpellingOf, path: Path): JsonValue {
  if (isOwn(field.message)) return expanded(field.message, value, spelling, path);
  if (field.scalar !== ScalarType.STRING) return value;
  if (typeof value === "number") return spelling(path) ?? String(value);
  if (typeof value === "boolean") return String(value);
  if (jsonTextFields.has(keyOf(field)) && typeof value === "object" && value !== null) return JSON.stringify(value);
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
    // What pairName found is a message.
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

/** What a file says for the JSON of a message: the briefest that becomes the same again. */
export function compact(schema: DescMessage, json: JsonObject): JsonObject {
  const members = Object.entries(json).map(([name, value]): [string, JsonValue] => {
    const field = schema.fields.find((candidate) => candidate.name === name);
    return [name, field === undefined ? value : compactField(field, value)];
  });
  return Object.fromEntries(members);
}

/** The same of one field. */
export function compactField(field: DescField, value: JsonValue): JsonValue {
  if (field.fieldKind === "list" && Array.isArray(value)) {
    const items = value.map((item) => compactOne(field, item));
    const name = pairName(field.message);
    return name === undefined ? items : (mapOf(items, name) ?? items);
  }
  return field.fieldKind === "map" ? value : compactOne(field, value);
}

function compactOne(field: DescField, value: JsonValue): JsonValue {
  if (isOwn(field.message)) return isObject(value) ? compact(field.message, value) : value;
  if (typeof value !== "string") return value;
  if (jsonTextFields.has(keyOf(field))) return jsonInText(value) ?? value;
  return valueFields.has(keyOf(field)) ? scalarOf(value) : value;
}

/** Names and values as a map, unless it would lose one, or their order: names like numbers come first in an object. */
function mapOf(items: readonly JsonValue[], name: string): JsonObject | undefined {
  const members = items.map((item): [string, JsonValue] => {
    const { [name]: key = "", value = "", ...rest } = isObject(item) ? item : {};
    return [String(key), Object.keys(rest).length === 0 ? value : { value, ...rest }];
  });
  const names = new Set(members.map(([key]) => key));
  const isKept = names.size === members.length && ![...names].some((key) => key === "" || /^\d+$/.test(key));
  return isKept && members.length > 0 ? Object.fromEntries(members) : undefined;
}

/** Texts that are most often numbers or booleans; names and ids are not among them. */
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
  if (text === "true" || text === "false") return text === "true";
  const number = Number(text);
  const isSame = /^-?\d+(\.\d+)?$/.test(text) && String(number) === text;
  return isSame && (!Number.isInteger(number) || Number.isSafeInteger(number)) ? number : text;
}

/** Whether a list's items are names and values, and which field is the name. */
export function pairName(message: DescMessage | undefined): "key" | "name" | undefined {
  const names = new Set(message?.fields.flatMap((field) => (field.scalar === ScalarType.STRING ? [field.name] : [])));
  if (!names.has("value")) return undefined;
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
