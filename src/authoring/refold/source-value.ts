import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";

/* What exports hold in places of text: text, values of other kinds, and the trees of the editor of older exports. */

/** A value as one text: the text of a tree, a number or truth value as it is written, JSON for any other. */
export function textOf(value: JsonValue | undefined): string {
  if (typeof value === "string") {
    return value;
  }
  if (value === null || value === undefined) {
    return "";
  }
  return isTree(value) ? treeText(value) : JSON.stringify(plainOf(value));
}

/** A value in which each tree is its text. */
export function plainOf(value: JsonValue): JsonValue {
  if (Array.isArray(value)) {
    return isTree(value) ? treeText(value) : value.map(plainOf);
  }
  if (!isObject(value)) {
    return value;
  }
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plainOf(member)]));
}

export function objectOf(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {};
}

export function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** The objects of a list; what else is in it is left out. */
export function objectsOf(value: JsonValue | undefined): readonly JsonObject[] {
  return listOf(value).filter(isObject);
}

/** Whether a value says nothing: no value, or an empty text, list or object. */
export function isEmpty(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null || value === "" || value === '""') {
    return true;
  }
  if (isTree(value)) {
    return treeText(value) === "";
  }
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

/** Whether a value is a tree of the editor: paragraphs with texts and templates, of which one may be cut in two. */
function isTree(value: JsonValue): value is JsonObject[] {
  return Array.isArray(value) && value.length > 0 && value.every((part) => isObject(part) && isPart(part));
}

function isPart(part: JsonObject): boolean {
  const { children, type, text, value } = part;
  return Array.isArray(children) || (typeof type === "string" && typeof value === "string" && "children" in part)
    ? true
    : typeof text === "string" && Object.keys(part).every((name) => marks.has(name));
}

/** The members of a text in a tree. */
const marks: ReadonlySet<string> = new Set(["text", "bold", "italic", "underline", "code"]);

function treeText(parts: readonly JsonObject[]): string {
  return parts.map(partText).join("\n");
}

function partText({ text, value, children }: JsonObject): string {
  const own = [text, value].filter((part) => typeof part === "string").join("");
  return own + objectsOf(children).map(partText).join("");
}
