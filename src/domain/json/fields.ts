import { fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type FieldDeclaration,
  FieldDeclaration_Type,
  FieldDeclarationSchema,
} from "../../gen/flowcall/v1/field_pb.ts";
import type { FieldViolation } from "../request-error.ts";
import { jsonPath } from "./json-refusal.ts";

/** The stored form of declarations: the JSON text of an array. */
export function textOfFields(fields: readonly FieldDeclaration[]): string {
  return JSON.stringify(fields.map((field) => toJson(FieldDeclarationSchema, field)));
}

/** Parses what `textOfFields` wrote, which may be that of a newer release. */
export function parseFields(text: string): readonly FieldDeclaration[] {
  // Written by textOfFields from an array.
  const fields = JSON.parse(text) as readonly JsonValue[];
  return fields.map((field) => fromJson(FieldDeclarationSchema, field, { ignoreUnknownFields: true }));
}

/** Violations of declarations: two of one name, and defaults of another type. */
export function violationsOfFields(fields: readonly FieldDeclaration[], path: string): readonly FieldViolation[] {
  const names = new Set<string>();
  return fields.flatMap((field, index) => {
    const violations: FieldViolation[] = [];
    if (names.size === names.add(field.name).size) {
      violations.push({ field: jsonPath(path, [index, "name"]), description: "is the name of a field above" });
    }
    const value = defaultOf(field);
    if (value !== undefined && !isOfType(field, value)) {
      const description = `must be ${expected[field.type]}, as the field's type says`;
      violations.push({ field: jsonPath(path, [index, "default_value"]), description });
    }
    return violations;
  });
}

/** All violations of values for declared fields. */
export function violationsOfValues(
  fields: readonly FieldDeclaration[],
  values: JsonObject,
  path: string,
): readonly FieldViolation[] {
  const declared = new Map(fields.map((field) => [field.name, field]));
  const given = Object.entries(values).flatMap(([name, value]): FieldViolation[] => {
    const field = declared.get(name);
    const place = jsonPath(path, [name]);
    if (field === undefined) {
      return [{ field: place, description: "is not declared" }];
    }
    return isOfType(field, value) ? [] : [{ field: place, description: `must be ${expected[field.type]}` }];
  });
  const missing = fields
    .filter(({ name, required }) => required === true && !Object.hasOwn(values, name))
    .map(({ name }): FieldViolation => ({ field: jsonPath(path, [name]), description: "is required" }));
  return [...given, ...missing];
}

/** The values that templates read: the set value where it is of the declared type, else the default. */
export function resolveFields(fields: readonly FieldDeclaration[], values: JsonObject): JsonObject {
  const resolved = fields.flatMap((field): [string, JsonValue][] => {
    const set = Object.hasOwn(values, field.name) ? values[field.name] : undefined;
    const value = set !== undefined && isOfType(field, set) ? set : defaultOf(field);
    return value === undefined ? [] : [[field.name, value]];
  });
  return Object.fromEntries(resolved);
}

function defaultOf({ defaultValue }: FieldDeclaration): JsonValue | undefined {
  return defaultValue === undefined ? undefined : toJson(ValueSchema, defaultValue);
}

const expected: Readonly<Record<FieldDeclaration_Type, string>> = {
  [FieldDeclaration_Type.TYPE_UNSPECIFIED]: "a value",
  [FieldDeclaration_Type.STRING]: "a string",
  [FieldDeclaration_Type.NUMBER]: "a number",
  [FieldDeclaration_Type.BOOLEAN]: "true or false",
  [FieldDeclaration_Type.OBJECT]: "an object",
  [FieldDeclaration_Type.ARRAY]: "an array",
};

function isOfType({ type }: FieldDeclaration, value: JsonValue): boolean {
  switch (type) {
    case FieldDeclaration_Type.STRING:
      return typeof value === "string";
    case FieldDeclaration_Type.NUMBER:
      return typeof value === "number";
    case FieldDeclaration_Type.BOOLEAN:
      return typeof value === "boolean";
    case FieldDeclaration_Type.OBJECT:
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case FieldDeclaration_Type.ARRAY:
      return Array.isArray(value);
    default:
      return true;
  }
}
