import type { JsonObject } from "@bufbuild/protobuf";
import { type Reason, reasons } from "../../domain/reason.ts";
import type { HttpBinding } from "../http-binding.ts";
import { reasonsOf } from "./reasons-of.ts";

/** The JSON Schema of the error envelope. */
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

const retryAfter = {
  "Retry-After": { description: "In how many seconds to try again.", schema: { type: "integer" } },
} as const;

const errorContent: JsonObject = {
  "application/json": { schema: { $ref: "#/components/schemas/Error" } },
};

/**
 * The error responses of a method by status; reasons of its own come first. 405 is omitted, since a caller that uses the
 * described method never gets it.
 */
export function refusals(binding: HttpBinding): Record<string, JsonObject> {
  const { own, general } = reasonsOf(binding);
  const statusOf = (reason: Reason) => reasons[reason].status;
  const statuses = [...new Set([...own, ...general].map(statusOf))].toSorted((left, right) => left - right);
  return Object.fromEntries(
    statuses.map((status) => {
      const among = (all: readonly Reason[]) => all.filter((reason) => statusOf(reason) === status);
      return [String(status), refusal(status, among(own), among(general))];
    }),
  );
}

function refusal(status: number, own: readonly Reason[], general: readonly Reason[]): JsonObject {
  const codes = (all: readonly Reason[]) => all.map((reason) => `\`${reason}\``).join(", ");
  const ofOthers = general.length === 0 ? "" : `As any call: ${codes(general)}.`;
  return {
    description: [own.length === 0 ? "" : `Refused: ${codes(own)}.`, ofOthers].filter((part) => part !== "").join(" "),
    ...((status === 429 || status === 503) && { headers: retryAfter }),
    content: errorContent,
    "x-error-codes": [...own, ...general],
  };
}
