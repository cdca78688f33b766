import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { RE2JS } from "re2js";
import type { Schema } from "./schema-validation.ts";

/** One keyword of one schema while it is compiled. */
export type Keyword = {
  readonly name: string;
  readonly value: JsonValue;
  /** The schema that the keyword belongs to. */
  readonly owner: JsonObject;
  error(message: string): undefined;
  /** Compiles a regular expression, once for the whole document. Throws where it cannot be used. */
  regex(pattern: string): RE2JS;
  /** Compiles a schema inside of the keyword's value, at these steps. */
  schema(json: JsonValue, steps: readonly (string | number)[]): Schema;
  /** Compiles one that applies to the same value as the owner: an in-place applicator. */
  inPlace(json: JsonValue, steps: readonly (string | number)[]): Schema;
};
