import type { DescMessage, Message } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";

/** The `ETag` header of a reply whose message names its own state, in a text field `etag` that holds the quotes too. */
export function etagHeader(schema: DescMessage, message: Message): { readonly etag?: string } {
  const field = schema.fields.find(({ name }) => name === "etag");
  if (field?.fieldKind !== "scalar" || field.scalar !== ScalarType.STRING) return {};
  const etag = reflect(schema, message).get(field);
  return typeof etag === "string" && /^"[\x21\x23-\x7e]*"$/.test(etag) ? { etag } : {};
}
