import type { JsonObject } from "@bufbuild/protobuf";
import type { Command } from "../command/command.ts";
import { listNamed } from "../command/named-call.ts";
import { type NamedCommand, namedCommand } from "../command/named-command.ts";
import { member } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { printable } from "../output/output.ts";

export const webhookServiceName = "flowcall.v1.WebhookService";

/** An endpoint as lines. */
export function endpointText(endpoint: JsonObject): string {
  const facts = {
    url: member(endpoint, "url") ?? "",
    told_of: [endpoint["states"] ?? []].flat().join(", ") || "calls that name it",
    disabled: endpoint["is_enabled"] === true ? "" : (member(endpoint, "disable_reason") ?? "by its settings"),
  };
  const lines = Object.entries(facts).filter(([, text]) => text !== "");
  return [member(endpoint, "id") ?? "", ...lines.map(([name, text]) => `${name.padEnd(9)} ${text}`)]
    .map(printable)
    .join("\n");
}

/** A command that names an endpoint and nothing else. */
function commandOf(verb: string, { method, ...rest }: Pick<NamedCommand, "method" | "summary" | "text">): Command {
  return namedCommand({
    ...rest,
    name: `webhook ${verb}`,
    method: `${webhookServiceName}.${method}`,
    words: { endpoint_id: "ENDPOINT" },
    example: `flowcall webhook ${verb} orders`,
  });
}

export const webhookGet = commandOf("get", {
  method: "GetWebhookEndpoint",
  summary: "Shows a webhook endpoint.",
  text: endpointText,
});

export const webhookRotate = commandOf("rotate", {
  method: "RotateWebhookSecret",
  summary: "Makes a new secret and prints it. The old one signs too for 24 hours.",
  text: (reply) => member(reply, "secret") ?? "",
});

export const webhookRm = commandOf("rm", {
  method: "DeleteWebhookEndpoint",
  summary: "Deletes a webhook endpoint with its deliveries.",
  text: () => "",
});

export const webhookRedeliver = namedCommand({
  name: "webhook redeliver",
  summary: "Makes a delivery again, under the same id.",
  method: `${webhookServiceName}.RedeliverWebhook`,
  words: { endpoint_id: "ENDPOINT", delivery_id: "DELIVERY" },
  example: "flowcall webhook redeliver orders 692d5f6e0123456789abcdef",
  text: (reply) => `${member(reply, "id") ?? ""} is delivered again`,
});

export const webhookLs: Command = {
  name: "webhook ls",
  summary: "Lists the webhook endpoints of the environment.",
  positionals: [],
  options: {},
  example: "flowcall webhook ls",

  async run(_, context) {
    const name = `${webhookServiceName}.ListWebhookEndpoints`;
    const endpoints = await listNamed(await context.connect(), { name, request: {} }, "endpoints");
    context.output.table(endpoints, [
      ["ENDPOINT", (endpoint) => member(endpoint, "id")],
      ["URL", (endpoint) => member(endpoint, "url")],
      ["TOLD OF", (endpoint) => [endpoint["states"] ?? []].flat().join(",")],
      ["ENABLED", (endpoint) => (endpoint["is_enabled"] === true ? "yes" : "no")],
    ]);
    return exitCodes.done;
  },
};

export const webhookDeliveries: Command = {
  name: "webhook deliveries",
  summary: "Lists the deliveries of a webhook endpoint, newest first.",
  positionals: ["ENDPOINT"],
  options: {},
  example: "flowcall webhook deliveries orders",

  async run(given, context) {
    const name = `${webhookServiceName}.ListWebhookDeliveries`;
    const request = { endpoint_id: given.word(0) };
    const deliveries = await listNamed(await context.connect(), { name, request }, "deliveries");
    context.output.table(deliveries, [
      ["DELIVERY", (delivery) => member(delivery, "id")],
      ["EXECUTION", (delivery) => member(delivery, "execution_id")],
      ["EVENT", (delivery) => member(delivery, "event")],
      ["TRIES", (delivery) => member(delivery, "attempts")],
      ["STATUS", (delivery) => member(delivery, "status")],
      ["NEXT", (delivery) => (delivery["is_delivered"] === true ? "delivered" : member(delivery, "next_time"))],
      ["ERROR", (delivery) => member(delivery, "error")],
    ]);
    return exitCodes.done;
  },
};
