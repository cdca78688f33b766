import { fromJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { carryText } from "./json-parse.ts";
import type { JsonText } from "./json-text.ts";

/**
 * A lazy google.protobuf.Value for JSON text. REST copies the text that it carries; the text is decoded into messages only
 * when another encoder reads `kind`.
 */
export function valueMessage(text: JsonText): Value {
  let kind: Value["kind"] | undefined;
  const message: Value = {
    $typeName: ValueSchema.typeName,
    get kind() {
      kind ??= fromJson(ValueSchema, JSON.parse(text)).kind;
      return kind;
    },
  };
  carryText(message, text);
  return message;
}
