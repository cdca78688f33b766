import { type DescMethodUnary, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import type { Client } from "../client/client.ts";
import { Methods } from "../client/methods.ts";
import type { Arguments } from "../command-line/arguments.ts";
import { messageFrom } from "../input/json-input.ts";
import type { ExitCode } from "../output/exit-codes.ts";
import { type Context, send } from "./context.ts";

/** Calls a unary method by its full name, with a request and a reply in JSON. */
export async function callNamed(client: Client, method: DescMethodUnary, request: JsonObject): Promise<JsonObject> {
  const reply = await client.unary(method, fromJson(method.input, request));
  // The JSON of a reply message is an object.
  return toJson(method.output, reply) as JsonObject;
}

export type NamedRequest = { readonly name: string; readonly request: JsonObject };

/** Does the same as `send` with a method that is named, so that the command need not import its generated code. */
export async function sendNamed(
  context: Context,
  given: Arguments,
  { name, request }: NamedRequest,
  show: (reply: JsonObject) => ExitCode | Promise<ExitCode>,
): Promise<ExitCode> {
  const method = unaryNamed(await Methods.load(), name);
  return await send(context, given, method, messageFrom(method.input, request), (reply) => {
    // The JSON of a reply message is an object.
    return show(toJson(method.output, reply) as JsonObject);
  });
}

/** Throws CliError where this version lacks the method. */
export function unaryNamed(methods: Methods, name: string): DescMethodUnary {
  const method = methods.need(name);
  // The descriptor's own type is that of any method.
  if (method.methodKind === "unary") {
    return method as DescMethodUnary;
  }
  throw new Error(`${name} streams`);
}

/** Answers all items of a list, page by page. */
export async function listNamed(
  client: Client,
  { name, request }: NamedRequest,
  items: string,
): Promise<readonly JsonObject[]> {
  const method = unaryNamed(await Methods.load(), name);
  const found: JsonObject[] = [];
  for (let token: string | undefined, isLast = false; !isLast; isLast = token === undefined) {
    const page = await callNamed(client, method, {
      ...request,
      page_size: 200,
      ...(token !== undefined && { page_token: token }),
    });
    const [list, next] = [page[items], page["next_page_token"]];
    // A list of messages is a list of objects in JSON.
    if (Array.isArray(list)) {
      found.push(...(list as JsonObject[]));
    }
    token = typeof next === "string" && next !== "" ? next : undefined;
  }
  return found;
}
