import type { JsonValue } from "@bufbuild/protobuf";
import {
  type HttpField,
  type WaitForWebhookNode,
  WaitForWebhookNode_OnTimeout,
} from "../../gen/flowcall/v1/definition_pb.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { compileSchema } from "../schema/compile-schema.ts";
import { PayloadValidator } from "../schema/payload-validator.ts";
import type { Field } from "../templates/field.ts";
import { compileValue } from "../templates/text-template.ts";
import { parseDecimal } from "../values/decimal.ts";
import type { Leaf, LeafTools, WebhookRules } from "./leaf.ts";

/** Waits until somebody calls the node's URL, or says the same by ResumeNode. The signal's value is the output. */
export function compileWaitForWebhook(message: WaitForWebhookNode, { field, limits }: LeafTools): Leaf {
  const { headers, timeoutSeconds, onTimeout, schema } = message;
  const member = field.member("timeout_seconds");
  const timeout = timeoutSeconds === undefined ? undefined : compileValue(timeoutSeconds, member);
  if (timeout !== undefined && timeout.references.length === 0) {
    const problem = problemOf(timeout.render({ read: () => undefined }), limits.delayMs);
    if (problem !== undefined) {
      member.error("WAIT_INVALID", problem);
    }
  }
  if (schema !== undefined && field.isNew) {
    compileSchema(schema, field.member("schema"));
  }
  const webhook: WebhookRules = {
    headers: compileHeaders(headers, field),
    ...(schema !== undefined && { validator: new PayloadValidator(schema) }),
  };
  const goesOn = onTimeout === WaitForWebhookNode_OnTimeout.GO_ON;
  return {
    webhook,
    run: async (attempt) => {
      const timeoutMs =
        timeout === undefined ? limits.delayMs : timeoutOf(timeout.render(attempt.scope), limits.delayMs);
      const value = await attempt.waitForSignal(timeoutMs);
      if (value !== undefined) {
        // Written by whoever took the call.
        return { ...(JSON.parse(value) as { body: JsonValue; headers: JsonValue }), timed_out: false };
      }
      if (goesOn) {
        return { body: null, headers: {}, timed_out: true };
      }
      throw new NodeFailure("WEBHOOK_TIMED_OUT", `Nobody called the node's URL within ${timeoutMs / 1000} seconds.`, {
        isFinal: true,
      });
    },
    output: {
      type: "object",
      properties: { body: true, headers: { type: "object" }, timed_out: { type: "boolean" } },
      additionalProperties: false,
    },
  };
}

function timeoutOf(value: JsonValue, maxMs: number): number {
  const problem = problemOf(value, maxMs);
  if (problem !== undefined) {
    throw new NodeFailure("WAIT_INVALID", problem, { isFinal: true });
  }
  return Math.round(Number(value) * 1000);
}

function problemOf(value: JsonValue, maxMs: number): string | undefined {
  const seconds = typeof value === "string" && parseDecimal(value.trim()) ? Number(value) : value;
  return typeof seconds === "number" && seconds >= 1 && seconds * 1000 <= maxMs
    ? undefined
    : `A Wait for Webhook waits for 1 to ${maxMs / 1000} seconds (limit delayMs), not ${JSON.stringify(value).slice(0, 40)}.`;
}

/** They are compared with calls that may come before the node is reached, so that they hold no templates. */
function compileHeaders(headers: readonly HttpField[], field: Field): WebhookRules["headers"] {
  return headers.map(({ key, value }, index) => {
    const member = field.member(`headers[${index}]`);
    const name = key.toLowerCase();
    const isTwice = headers.slice(0, index).some((other) => other.key.toLowerCase() === name);
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) || isTwice) {
      member.member("key").error("HEADER_INVALID", `"${key}" must be the name of a header, each once.`);
    }
    if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value) || value.includes("{{")) {
      const advice = "It must be text of printable ASCII without blanks around it, and without templates.";
      member.member("value").error("HEADER_INVALID", `The value of the header "${key}" cannot be compared. ${advice}`);
    }
    return [name, value] as const;
  });
}
