import type { JsonObject } from "@bufbuild/protobuf";
import { type Command, curlOption } from "../command/command.ts";
import { sendNamed } from "../command/named-call.ts";
import { member } from "../execution/execution-text.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { endpointText, webhookServiceName } from "./webhook-commands.ts";

export const webhookPut: Command = {
  name: "webhook put",
  summary: "Creates a webhook endpoint, which is told of the ends of executions, or replaces its settings.",
  positionals: ["ENDPOINT", "URL"],
  options: {
    state: {
      type: "string",
      multiple: true,
      value: "STATE",
      choices: ["COMPLETED", "ERRORED", "STOPPED", "TIMED_OUT"],
      help: "an end that it is told of; without one, of calls that name it alone",
    },
    slug: { type: "string", value: "SLUG", help: "of the workflows of this integration alone" },
    header: { type: "string", multiple: true, value: "NAME:VALUE", help: "a header of its requests, stored encrypted" },
    response: { type: "boolean", help: "requests have the execution's response" },
    cobalt: { type: "boolean", help: "requests have the header x-cobalt-signature too" },
    disabled: { type: "boolean", help: "it is told of nothing" },
    ...curlOption,
  },
  example: "flowcall webhook put orders https://example.com/hook --state COMPLETED --state ERRORED",

  async run(given, context) {
    const slug = given.text("slug");
    const request: JsonObject = {
      endpoint_id: given.word(0),
      url: given.word(1),
      states: [...given.texts("state")],
      headers: Object.fromEntries(given.texts("header").map(headerOf)),
      includes_response: given.isSet("response"),
      has_cobalt_signature: given.isSet("cobalt"),
      is_enabled: !given.isSet("disabled"),
      ...(slug !== undefined && { slugs: [slug] }),
    };
    const name = `${webhookServiceName}.PutWebhookEndpoint`;
    return await sendNamed(context, given, { name, request }, (reply) => {
      const secret = member(reply, "secret");
      // The JSON of a message is an object.
      const endpoint = Object(reply["endpoint"]) as JsonObject;
      context.output.value(reply, [endpointText(endpoint), ...(secret ? [`secret    ${secret}`] : [])].join("\n"));
      return exitCodes.done;
    });
  },
};

function headerOf(text: string): readonly [string, string] {
  const [, name = "", value = ""] = /^([^:]+):\s*(.*)$/.exec(text) ?? [];
  if (name === "") {
    throw usageError(`--header must be NAME:VALUE, not ${JSON.stringify(text)}.`);
  }
  return [name, value];
}
