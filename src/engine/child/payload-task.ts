import type { JsonObject } from "@bufbuild/protobuf";
import type { RunTask } from "../pool/tasks.ts";
import { type PayloadCheck, schemaOf, tryPayload } from "../schema/payload-schema.ts";
import { type Schema, workMax } from "../schema/schema-validation.ts";

/** The texts are the schema and the payload. */
export type PayloadRequest = { readonly kind: "payload" };

export type PayloadReply = PayloadCheck;

/** Checks payloads with the whole budget. */
export function createPayloadTask(): RunTask<"payload"> {
  let last: { readonly text: string; readonly schema: Schema } | undefined;
  return ({ texts: [schemaText = "", payloadText = ""] }) => {
    // Both are objects by the types of the definition and of the call.
    last =
      last?.text === schemaText ? last : { text: schemaText, schema: schemaOf(JSON.parse(schemaText) as JsonObject) };
    return { head: tryPayload(last.schema, JSON.parse(payloadText) as JsonObject, workMax), texts: [] };
  };
}
