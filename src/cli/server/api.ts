import { type DescMethod, getOption, hasOption, type Message, toJson, toJsonString } from "@bufbuild/protobuf";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { curlOf } from "../client/curl.ts";
import { fullName, Methods } from "../client/methods.ts";
import { type Command, curlOption } from "../command/command.ts";
import type { Context } from "../command/context.ts";
import { dataText, messageFrom, parseJson } from "../input/json-input.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";

export const api: Command = {
  name: "api",
  summary: "Calls any RPC; without a method, lists all RPCs.",
  positionals: ["METHOD?"],
  options: {
    data: { type: "string", short: "d", value: "JSON|@FILE|-", help: "the request message; - is stdin" },
    header: { type: "string", short: "H", multiple: true, value: "NAME:VALUE", help: "a request header; may repeat" },
    ...curlOption,
  },
  example: `flowcall api GetWorkflow -d '{"workflow": "create-task"}'`,

  async run(given, context) {
    const { output, settings, stdin, signal } = context;
    const methods = await Methods.load();
    const [name] = given.positionals;
    if (name === undefined) {
      listMethods(methods, context);
      return exitCodes.done;
    }
    const method = methods.find(name);
    const requests = requestsOf(method, await dataText(given.text("data") ?? "{}", stdin));
    const headers = headersOf(given.texts("header"));
    if (given.isSet("curl")) {
      const command = curlOf(method, requests[0] ?? messageFrom(method.input, {}), { url: settings.url, headers });
      output.value({ command }, command);
      return exitCodes.done;
    }
    const replies = (await context.connect()).call(method, requests, { headers, signal });
    if (method.methodKind === "unary") {
      for await (const reply of replies) {
        output.value(toJson(method.output, reply), toJsonString(method.output, reply, { prettySpaces: 2 }));
      }
    } else {
      const json = (reply: Message) => toJson(method.output, reply);
      await output.stream(replies, json, (reply) => JSON.stringify(json(reply)));
    }
    return exitCodes.done;
  },
};

function listMethods({ all }: Methods, { output }: Context): void {
  const rows = all.map((method) => {
    const { pattern } = getOption(method, http);
    const streams = method.methodKind;
    return {
      method: fullName(method),
      request: `${streams === "bidi_streaming" || streams === "client_streaming" ? "stream " : ""}${method.input.typeName}`,
      reply: `${streams === "bidi_streaming" || streams === "server_streaming" ? "stream " : ""}${method.output.typeName}`,
      ...(hasOption(method, http) && { rest: `${pattern.case?.toUpperCase()} ${String(pattern.value)}` }),
    };
  });
  output.table(rows, [
    ["METHOD", ({ method }) => method],
    ["REQUEST", ({ request }) => request.replace("flowcall.v1.", "")],
    ["REPLY", ({ reply }) => reply.replace("flowcall.v1.", "")],
    ["REST", ({ rest }) => rest],
  ]);
}

/** One message; for a method with a request stream, one on each line. */
function requestsOf(method: DescMethod, text: string): readonly Message[] {
  const isStream = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
  const texts = isStream ? text.split("\n").filter((line) => line.trim() !== "") : [text];
  return texts.map((one) => messageFrom(method.input, parseJson(one, "--data")));
}

function headersOf(given: readonly string[]): Headers {
  const headers = new Headers();
  for (const text of given) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(.*)$/.exec(text) ?? [];
    if (name === undefined || value === undefined) {
      throw usageError(`--header takes name:value, not ${JSON.stringify(text)}.`);
    }
    headers.append(name, Buffer.from(value, "utf8").toString("latin1"));
  }
  return headers;
}
