import type { JsonObject } from "@bufbuild/protobuf";
import type { RunTask } from "../pool/tasks.ts";
import { schemaOf, tryPayload } from "../schema/payload-schema.ts";
import { type Schema, workMax } from "../schema/schema-validation.ts";

/**
 * Checks payloads with the whole budget of work, for which the service's thread has no time. The last schema stays compiled,
 * because calls of one workflow often come in a row and compiling takes longer than most checks.
 */
export function createPayloadTask(): RunTask<"payload"> {
  let last: { readonly text: string; readonly schema: Schema } | undefined;
  return ({ texts: [schemaText = "", payloadText = ""] }) => {
    // Both texts are JSON objects, by the types of the definition and of the call.
    const schema = last?.text === schemaText ? last.schema : schemaOf(JSON.parse(schemaText) as JsonObject);
    last = { text: schemaText, schema };
    const payload = JSON.parse(payloadText) as JsonObject;
    return { head: tryPayload(schema, payload, workMax), texts: [] };
  };
}
