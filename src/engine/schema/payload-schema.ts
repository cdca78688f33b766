import type { JsonObject } from "@bufbuild/protobuf";
import { RequestError } from "../../domain/request-error.ts";
import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import { Field, type Names } from "../templates/field.ts";
import { compileSchema } from "./compile-schema.ts";
import { type Schema, SchemaExhausted, SchemaRun, Visit, workMax } from "./schema-run.ts";

const panel = "start.api_call";

/** Compiles the schema of a Start node's "API Call" panel, and warns of a sample that breaks it. */
export function compilePayloadSchema(start: Node | undefined, names: Names): Schema | undefined {
  const trigger = start?.kind.case === "start" ? start.kind.value.trigger : undefined;
  if (start === undefined || trigger?.case !== "apiCall" || trigger.value.schema === undefined) return undefined;
  const { payload, schema: json } = trigger.value;
  const errors = names.problems.errors.length;
  const schema = compileSchema(json, new Field(names, start.id, `${panel}.schema`));
  if (payload === undefined || names.problems.errors.length > errors) return schema;
  try {
    checkPayload(schema, payload);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const message = `The sample is not what the schema asks for: ${error.message}`;
    new Field(names, start.id, `${panel}.payload`).warn("SAMPLE_INVALID", message);
  }
  return schema;
}

/** Refuses with PAYLOAD_INVALID a payload that breaks a schema, and with PAYLOAD_TOO_LARGE one that is too much to check. */
export function checkPayload(schema: Schema, payload: JsonObject): void {
  const run = new SchemaRun("payload");
  try {
    if (run.apply(schema, payload, new Visit(run))) return;
  } catch (error) {
    if (!(error instanceof SchemaExhausted)) throw error;
    const message =
      "The payload is too much for the workflow's schema to check. Send less, or make the schema simpler.";
    throw new RequestError("PAYLOAD_TOO_LARGE", message, { metadata: { limit: "schema_work", max: String(workMax) } });
  }
  const { violations, count } = run;
  const told = violations.map(({ field, description }) => `${field} ${description}.`).join(" ");
  const more = count > violations.length ? ` There are ${count - violations.length} more.` : "";
  throw new RequestError("PAYLOAD_INVALID", `${told}${more}`, { violations, metadata: { violations: String(count) } });
}
