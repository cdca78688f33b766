import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import type { Keyword } from "./keyword.ts";
import type { Check, SchemaEvaluation } from "./schema-validation.ts";

/** Compiles one keyword. Gives undefined where it checks nothing, or has a problem, which is reported. */
export type Compile = (keyword: Keyword) => Check | undefined;

/** Compiles a keyword for one type of values. Values of other types pass. */
export const forNumber = (
  compile: (keyword: Keyword) => ((value: number, at: SchemaEvaluation) => boolean) | undefined,
): Compile => forType(compile, (value) => typeof value === "number");
export const forText = (
  compile: (keyword: Keyword) => ((value: string, at: SchemaEvaluation) => boolean) | undefined,
): Compile => forType(compile, (value) => typeof value === "string");
export const forArray = (
  compile: (keyword: Keyword) => ((value: JsonValue[], at: SchemaEvaluation) => boolean) | undefined,
): Compile => forType(compile, (value) => Array.isArray(value));
export const forObject = (
  compile: (keyword: Keyword) => ((value: JsonObject, at: SchemaEvaluation) => boolean) | undefined,
): Compile => forType(compile, isObject);

function forType<Value extends JsonValue>(
  compile: (keyword: Keyword) => ((value: Value, at: SchemaEvaluation) => boolean) | undefined,
  isOne: (value: JsonValue) => boolean,
): Compile {
  return (keyword) => {
    const check = compile(keyword);
    // `isOne` has just checked the type of the value.
    return check && ((value, at) => !isOne(value) || check(value as Value, at));
  };
}
