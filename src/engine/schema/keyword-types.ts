import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import type { Keyword } from "./keyword.ts";
import type { Check, Visit } from "./schema-validation.ts";

export type Compile = (keyword: Keyword) => Check | undefined;

/** Compiles a keyword that is about one type of value; values of other types pass. */
export const forNumber = (
  compile: (keyword: Keyword) => ((value: number, at: Visit) => boolean) | undefined,
): Compile => forType(compile, (value) => typeof value === "number");
export const forText = (compile: (keyword: Keyword) => ((value: string, at: Visit) => boolean) | undefined): Compile =>
  forType(compile, (value) => typeof value === "string");
export const forArray = (
  compile: (keyword: Keyword) => ((value: JsonValue[], at: Visit) => boolean) | undefined,
): Compile => forType(compile, (value) => Array.isArray(value));
export const forObject = (
  compile: (keyword: Keyword) => ((value: JsonObject, at: Visit) => boolean) | undefined,
): Compile => forType(compile, isObject);

function forType<Value extends JsonValue>(
  compile: (keyword: Keyword) => ((value: Value, at: Visit) => boolean) | undefined,
  isOne: (value: JsonValue) => boolean,
): Compile {
  return (keyword) => {
    const check = compile(keyword);
    // `isOne` has just said that the value is of the type.
    return check && ((value, at) => !isOne(value) || check(value as Value, at));
  };
}
