import { type DescField, type DescMessage, type Message, toJson } from "@bufbuild/protobuf";
import { carriedText } from "../domain/json-parse.ts";
import type { JsonText } from "../domain/json-text.ts";

/**
 * Writes a message as JSON text. Values that carry their text (google.protobuf.Value and Struct, in fields of the
 * message itself) go in as that text, neither unfolded nor written again; deeper ones are written as any other. A field
 * that cannot be absent is written though it be empty; what can be is `optional` in its proto.
 */
export function writeJson(schema: DescMessage, message: Message): string {
  const spliced: string[] = [];
  // A copy that lacks the spliced fields; protobuf-es offers no way to read or leave out a field by its descriptor.
  const rest = { ...message } as Message & Record<string, unknown>;
  for (const field of schema.fields) {
    const text = carriedTextOf(field, rest[field.localName]);
    if (text === undefined) continue;
    spliced.push(`${JSON.stringify(field.jsonName)}:${text}`);
    delete rest[field.localName];
  }
  const written = JSON.stringify(toJson(schema, rest, { alwaysEmitImplicit: true }));
  if (spliced.length === 0) return written;
  const members = written.slice(1, -1);
  return `{${spliced.join(",")}${members === "" ? "" : `,${members}`}}`;
}

function carriedTextOf(field: DescField, value: unknown): JsonText | undefined {
  return field.fieldKind === "message" && field.oneof === undefined ? carriedText(value) : undefined;
}
