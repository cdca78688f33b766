import { fromJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { JsonText } from "../json-text.ts";
import { carryText } from "./json-parse.ts";

/**
 * A google.protobuf.Value that stands for JSON text. It carries the text for REST, which writes it as it is, and
 * unfolds into messages only when another encoder asks for its kind.
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
