import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { RequestError } from "../../domain/request-error.ts";
import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import { Problems } from "../errors/problems.ts";
import type { PayloadCheck } from "../pool/tasks.ts";
import { Field } from "../templates/field.ts";
import { Names } from "../templates/names.ts";
import { compileSchema } from "./compile-schema.ts";
import {
  nestedMax,
  type Schema,
  SchemaEvaluation,
  SchemaExhausted,
  SchemaValidation,
  workMax,
} from "./schema-validation.ts";

const panel = "start.api_call";

/** The schema of a Start node's "API Call" panel. */
export function payloadSchemaOf(start: Node | undefined): JsonObject | undefined {
  const trigger = start?.kind.case === "start" ? start.kind.value.trigger : undefined;
  return trigger?.case === "apiCall" ? trigger.value.schema : undefined;
}

/** Reports the problems of that schema, and warns of a sample that violates it. */
export function checkPayloadSchema(start: Node | undefined, names: Names): void {
  const json = payloadSchemaOf(start);
  if (start?.kind.case !== "start" || json === undefined) {
    return;
  }
  const { trigger } = start.kind.value;
  const payload = trigger.case === "apiCall" ? trigger.value.payload : undefined;
  const errors = names.problems.errorCount;
  const schema = compileSchema(json, new Field(names, start.id, `${panel}.schema`));
  if (payload === undefined || names.problems.errorCount > errors) {
    return;
  }
  try {
    checkPayload(schema, payload);
  } catch (error) {
    if (!(error instanceof RequestError)) {
      throw error;
    }
    const message = `The sample violates the schema: ${error.message}`;
    new Field(names, start.id, `${panel}.payload`).warn("SAMPLE_INVALID", message);
  }
}

/** Compiles a schema that was checked before, so there are no problems to report. */
export function schemaOf(json: JsonObject): Schema {
  return compileSchema(json, new Field(new Names([], new Problems([])), "", panel));
}

/** Checks a payload within a budget of work. A check that exceeds it can be repeated elsewhere with a larger budget. */
export function tryPayload(schema: Schema, payload: JsonValue, workMax: number): PayloadCheck {
  const run = new SchemaValidation("payload", workMax);
  try {
    if (run.apply(schema, payload, new SchemaEvaluation(run))) {
      return { kind: "valid", work: run.work };
    }
  } catch (error) {
    if (!(error instanceof SchemaExhausted)) {
      throw error;
    }
    return { kind: error.limit === "schema_work" ? "spent" : "nested", work: run.work };
  }
  const { work, violations, count } = run;
  return { kind: "invalid", work, violations, count };
}

/** Throws PAYLOAD_INVALID where a payload violates a schema, and PAYLOAD_TOO_LARGE where the check takes too much work. */
export function checkPayload(schema: Schema, payload: JsonObject): void {
  const problem = payloadProblem(tryPayload(schema, payload, workMax));
  if (problem !== undefined) {
    throw problem;
  }
}

/** The error for a payload after a check with the whole budget. Undefined where the payload is valid. */
export function payloadProblem(check: PayloadCheck): RequestError | undefined {
  if (check.kind === "valid") {
    return undefined;
  }
  if (check.kind === "spent") {
    return tooMuch("schema_work", workMax, `takes more than ${workMax} units of work`);
  }
  if (check.kind === "nested") {
    return tooMuch("schema_nesting", nestedMax, `applies more than ${nestedMax} schemas inside one another`);
  }
  const { violations, count } = check;
  const list = violations.map(({ field, description }) => `${field} ${description}.`).join(" ");
  const more = count > violations.length ? ` There are ${count - violations.length} more.` : "";
  const metadata = { violations: String(count) };
  return new RequestError("PAYLOAD_INVALID", `${list}${more}`, { violations, metadata });
}

function tooMuch(limit: SchemaExhausted["limit"], max: number, why: string): RequestError {
  const message = `To check the payload against the workflow's schema takes too much: it ${why} (limit ${limit}). Send less, or make the schema simpler.`;
  return new RequestError("PAYLOAD_TOO_LARGE", message, { metadata: { limit, max: String(max) } });
}
