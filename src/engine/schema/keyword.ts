import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { RE2JS } from "re2js";
import type { Schema } from "./schema-validation.ts";

/** One keyword of one schema while it is compiled. */
export type Keyword = {
  readonly name: string;
  readonly value: JsonValue;
  /** The schema that it stands in. */
  readonly owner: JsonObject;
  error(message: string): undefined;
  /** Compiles a regular expression, each once for all of the schema. Throws where it cannot be used. */
  regex(pattern: string): RE2JS;
  /** Compiles a schema inside the keyword's value; one for the same value as the owner's is in place. */
  schema(json: JsonValue, steps: readonly (string | number)[]): Schema;
  inPlace(json: JsonValue, steps: readonly (string | number)[]): Schema;
};
