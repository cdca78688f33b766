import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { readPath } from "../../domain/json/value-path.ts";
import { isObject } from "../../domain/json/violations.ts";
import type { IssueList } from "./import-issue.ts";
import { fieldName, type References } from "./references.ts";
import { isEmpty } from "./source-value.ts";
import type { SourceWorkflow } from "./source-workflow.ts";

const fieldsMax = 100;
const depthMax = 12;
const membersMax = 2_000;

const types: Readonly<Record<string, string>> = {
  text: "STRING",
  textarea: "STRING",
  email: "STRING",
  url: "STRING",
  date: "STRING",
  select: "STRING",
  options: "STRING",
  number: "NUMBER",
  checkbox: "BOOLEAN",
  boolean: "BOOLEAN",
  json: "OBJECT",
  map: "OBJECT",
  map_v2: "OBJECT",
  mapping: "OBJECT",
  multiselect: "ARRAY",
  "multi-select": "ARRAY",
};

/** Declares what customers configure, and whatever else templates read as a field. */
export function importFields(
  { configFields, document }: SourceWorkflow,
  references: References,
  issues: IssueList,
): JsonObject[] {
  const declared = new Map<string, JsonObject>();
  const configured = configFields.filter(({ isOfEvent, name }) => !isOfEvent && name !== "");
  for (const { name: original, type, isRequired } of configured) {
    const name = fieldName(original);
    if (declared.has(name)) {
      continue;
    }
    if (name !== original) {
      issues.warn("FIELD_RENAMED", `The field ${JSON.stringify(original)} is called ${JSON.stringify(name)} here.`);
    }
    const known = type.startsWith("dynamic:") ? "STRING" : types[type.toLowerCase()];
    if (known === undefined) {
      issues.note("FIELD_TYPE_UNKNOWN", `The field ${JSON.stringify(name)} takes any value: its type is not known.`, {
        original: type,
      });
    }
    declared.set(name, { name, ...(known !== undefined && { type: known }), ...(isRequired && { required: true }) });
  }
  noteOptions(document, issues);
  for (const name of [...references.fields].toSorted()) {
    if (references.addedFields.has(name) && !declared.has(name)) {
      declared.set(name, { name, type: "STRING" });
    } else if (!declared.has(name)) {
      declared.set(name, { name });
      issues.note(
        "FIELD_TYPE_UNKNOWN",
        `The field ${JSON.stringify(name)} is read and not declared in the export; it takes any value.`,
      );
    }
  }
  const used = [...declared.values()].toSorted((left, right) => rank(left, references) - rank(right, references));
  if (used.length > fieldsMax) {
    const message = `A workflow declares at most ${fieldsMax} fields, and this one has ${used.length}; the others are left out.`;
    issues.warn("FIELDS_TOO_MANY", message);
  }
  return used.slice(0, fieldsMax);
}

/** Fields that are read stand first, so that the limit leaves out others. */
function rank({ name }: JsonObject, { fields }: References): number {
  return fields.has(String(name)) ? 0 : 1;
}

function noteOptions(document: JsonObject, issues: IssueList): void {
  const fields = document["config_fields"];
  for (const field of Array.isArray(fields) ? fields.filter(isObject) : []) {
    const type = String(field["type"]);
    if (field["auto_created"] !== true && (!isEmpty(field["possible_options"]) || type.startsWith("dynamic:"))) {
      const message = `The options of the field ${JSON.stringify(String(field["name"]))} are not imported; it takes any text.`;
      issues.note("OPTIONS_NOT_IMPORTED", message, { original: type });
    }
  }
}

/** A sample of the event: what the export has of one, and each path that templates read. */
export function importSample(
  { configFields, document }: SourceWorkflow,
  { eventPaths }: References,
  issues: IssueList,
): JsonObject {
  const root: Branch = new Map();
  let count = 0;
  const add = (path: string, leaf: JsonValue) => {
    const names = readPath(path)?.map(({ name }) => name) ?? [];
    if (names.length > 0 && names.length <= depthMax && count < membersMax) {
      count += put(root, names, leaf);
    }
  };
  const given = sampleOf(document);
  const ofEvent = configFields.filter(({ isOfEvent, name }) => isOfEvent && name !== "");
  for (const { name, type } of ofEvent) {
    add(name, sampleByType(type));
  }
  const known = new Set([...ofEvent.map(({ name }) => name)]);
  const guessed = [...eventPaths].filter((path) => path !== "" && !known.has(path) && !isIn(given, path)).toSorted();
  for (const path of guessed) {
    add(path, "");
  }
  if (guessed.length > 0) {
    const message = "These members are in the sample since templates read them; what they hold is not known.";
    issues.note("SAMPLE_GUESSED", message, { original: guessed.join(", ") });
  }
  return merged(given, jsonOf(root));
}

type Branch = Map<string, Branch | JsonValue>;

/** Puts a value at a path, unless there is one; answers how many members that made. */
function put(root: Branch, names: readonly string[], leaf: JsonValue): number {
  let branch = root;
  let made = 0;
  for (const [index, name] of names.entries()) {
    const isLast = index === names.length - 1;
    const found = branch.get(name);
    if (isLast) {
      if (found === undefined) {
        branch.set(name, leaf);
        made += 1;
      }
      return made;
    }
    const isOpen = found === undefined || found === "" || found instanceof Map || isObject(found);
    if (!isOpen) {
      return made;
    }
    const next: Branch = found instanceof Map ? found : new Map();
    made += found instanceof Map ? 0 : 1;
    branch.set(name, next);
    branch = next;
  }
  return made;
}

function jsonOf(branch: Branch): JsonObject {
  const members = [...branch].filter(([name]) => name !== "__proto__");
  return Object.fromEntries(members.map(([name, value]) => [name, value instanceof Map ? jsonOf(value) : value]));
}

function sampleByType(type: string): JsonValue {
  switch (type) {
    case "number":
      return 0;
    case "boolean":
      return false;
    case "array":
      return [];
    case "object":
      return {};
    default:
      return "";
  }
}

function sampleOf(document: JsonObject): JsonObject {
  const given = document["manual_execution_payload"];
  const value = typeof given === "string" ? parsed(given) : given;
  return isObject(value) ? value : {};
}

function parsed(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isIn(value: JsonValue | undefined, path: string): boolean {
  const names = readPath(path)?.map(({ name }) => name) ?? [];
  return names.reduce<JsonValue | undefined>((outer, name) => memberOf(outer, name), value) !== undefined;
}

function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (Array.isArray(value)) {
    return /^\d{1,6}$/.test(name) ? value[Number(name)] : undefined;
  }
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/** Two objects in one. What the first has counts. */
function merged(first: JsonObject, second: JsonObject): JsonObject {
  const both = Object.entries(second).map(([name, value]): [string, JsonValue] => {
    const own = Object.hasOwn(first, name) ? first[name] : undefined;
    return [name, own === undefined ? value : isObject(own) && isObject(value) ? merged(own, value) : own];
  });
  return { ...first, ...Object.fromEntries(both) };
}
