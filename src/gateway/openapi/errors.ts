import type { JsonObject } from "@bufbuild/protobuf";
import { type Reason, reasons } from "../../domain/reason.ts";
import type { HttpBinding } from "../http-binding.ts";

/** The documented envelope of refusals. */
export const errorSchema: JsonObject = {
  type: "object",
  description: "Why a call was refused. With `Accept: application/problem+json` the same as RFC 9457 spells it.",
  required: ["status_code", "http_error_type", "error_code", "message", "request_id"],
  properties: {
    status_code: { type: "integer", examples: [404] },
    http_error_type: { type: "string", examples: ["NOT_FOUND"] },
    error_code: { type: "string", enum: [...Object.keys(reasons), "WORKFLOW_ERRORED"].toSorted() },
    message: { type: "string", description: "What was wrong, where, and what to do." },
    request_id: { type: "string", description: "Names the call in the server's log." },
    execution_id: { type: "string", description: "The execution that the refusal is about, where there is one." },
    error: { $ref: "#/components/schemas/ExecutionError" },
    details: {
      type: "object",
      properties: {
        violations: {
          type: "array",
          items: {
            type: "object",
            properties: { field: { type: "string" }, description: { type: "string" } },
          },
        },
        problems: { type: "array", items: { $ref: "#/components/schemas/WorkflowProblem" } },
        metadata: { type: "object", additionalProperties: { type: "string" } },
      },
    },
  },
};

/** What may be refused before anybody looks at which method is called. */
const everywhere: readonly number[] = [400, 401, 403, 404, 408, 429, 431, 500, 503];

const ofBodies: readonly number[] = [413, 415];

/** The refusals of each status, by its number. */
const byStatus = Map.groupBy(Object.keys(reasons) as Reason[], (reason) => reasons[reason].status);

const retryAfter = {
  "Retry-After": { description: "In how many seconds to try again.", schema: { type: "integer" } },
} as const;

/** But for 405: whoever calls what is described here does not see it. */
export const errorResponses: Record<string, JsonObject> = Object.fromEntries(
  [...byStatus]
    .filter(([status]) => status !== 405)
    .map(([status, all]) => [
      nameOf(status),
      {
        description: `Refused: ${all.map((reason) => `\`${reason}\``).join(", ")}.`,
        ...((status === 429 || status === 503) && { headers: retryAfter }),
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    ]),
);

/** The refusals that a method may answer, by reference. */
export function refusals({ method, body, verb }: HttpBinding): Record<string, JsonObject> {
  const changes = method.idempotency === undefined || verb !== "GET";
  const statuses = [...everywhere, ...(body === "" ? [] : ofBodies), ...(changes ? [409] : [])].toSorted();
  return Object.fromEntries(
    statuses.map((status) => [String(status), { $ref: `#/components/responses/${nameOf(status)}` }]),
  );
}

function nameOf(status: number): string {
  return `Refused${status}`;
}
