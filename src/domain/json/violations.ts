import {
  create,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  mergeFromJson,
} from "@bufbuild/protobuf";
import { type FieldViolation, RequestError } from "../request-error.ts";
import { expectedOf, fieldByName, singularExpected } from "./field-path.ts";
import { jsonPath } from "./json-refusal.ts";

/** The search ends after so many, since a hostile message may have millions. */
export const violationsMax = 20;

/**
 * Finds the fields because of which JSON cannot be read as a message. It descends only into a value that cannot be read
 * alone, and stops at `violationsMax`, so the search costs a few times as much as the reading.
 */
export function violationsOf(schema: DescMessage, json: JsonValue): readonly FieldViolation[] {
  const violations: FieldViolation[] = [];
  for (const violation of inMessage(schema, json, "")) {
    violations.push(violation);
    if (violations.length === violationsMax) {
      break;
    }
  }
  return violations;
}

/** The refusal of a request with bad fields. There must be at least one violation. */
export function fieldsRefused(violations: readonly FieldViolation[], cause?: unknown): RequestError {
  const listed = violations.slice(0, violationsMax);
  const sentences = listed.map(
    ({ field, description }) => `${field === "" ? "The request body" : field} ${description}.`,
  );
  return new RequestError("VALIDATION_ERROR", sentences.join(" "), { violations: listed, cause });
}

export function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function* inMessage(schema: DescMessage, json: JsonValue, path: string): Iterable<FieldViolation> {
  if (!isObject(json)) {
    yield { field: path, description: "must be a JSON object" };
    return;
  }
  for (const [name, value] of Object.entries(json)) {
    const place = jsonPath(path, [name]);
    const field = fieldByName(schema, name);
    if (field === undefined) {
      yield { field: place, description: unknownField(schema) };
    } else if (!isReadable(schema, { [name]: value })) {
      yield* inField({ schema, field }, value, place);
    }
  }
  yield* inOneofs(schema, json, path);
}

function unknownField(schema: DescMessage): string {
  const names = schema.fields.map((field) => field.name);
  return names.length === 0 ? "is not known; no field is taken here" : `is not known; known are ${names.join(", ")}`;
}

type Position = { readonly schema: DescMessage; readonly field: DescField };

function* inField(position: Position, json: JsonValue, path: string): Iterable<FieldViolation> {
  const { field } = position;
  if (field.fieldKind === "list" && Array.isArray(json)) {
    for (const [index, item] of json.entries()) {
      yield* inItem(position, { json: item, alone: [item] }, jsonPath(path, [index]));
    }
  } else if (field.fieldKind === "map" && isObject(json)) {
    for (const [name, item] of Object.entries(json)) {
      yield* inItem(position, { json: item, alone: { [name]: item } }, jsonPath(path, [name]));
    }
  } else if (field.fieldKind === "message") {
    yield* inSingular(field, json, path);
  } else {
    yield { field: path, description: expectedOf(field) };
  }
}

/** `alone` is the list or map with only this item. */
function* inItem(
  { schema, field }: Position,
  item: { readonly json: JsonValue; readonly alone: JsonValue },
  path: string,
): Iterable<FieldViolation> {
  if (!isReadable(schema, { [field.name]: item.alone })) {
    yield* inSingular(field, item.json, path);
  }
}

/** Descends into a message of ours. One of google.protobuf is a single value. */
function* inSingular(field: DescField, json: JsonValue, path: string): Iterable<FieldViolation> {
  if (field.message === undefined || field.message.typeName.startsWith("google.protobuf.")) {
    yield { field: path, description: singularExpected(field) };
  } else {
    yield* inMessage(field.message, json, path);
  }
}

function* inOneofs(schema: DescMessage, json: JsonObject, path: string): Iterable<FieldViolation> {
  for (const oneof of schema.oneofs) {
    const given = oneof.fields.filter((field) => json[field.name] !== undefined && json[field.name] !== null);
    const names = given.map((field) => field.name).join(" and ");
    if (given.length > 1) {
      yield { field: path, description: `has ${names}, of which one may be set` };
    }
  }
}

function isReadable(schema: DescMessage, json: JsonObject): boolean {
  try {
    mergeFromJson(schema, create(schema), json);
    return true;
  } catch {
    return false;
  }
}
