import { type DescMethodUnary, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import type { Arguments } from "./arguments.ts";
import type { Client } from "./client.ts";
import { type Context, send } from "./context.ts";
import type { ExitCode } from "./exit-codes.ts";
import { messageFrom } from "./json-text.ts";
import { Methods } from "./methods.ts";

/** Calls a unary method by its full name, with a request and a reply in JSON. */
export async function callNamed(client: Client, method: DescMethodUnary, request: JsonObject): Promise<JsonObject> {
  const reply = await client.unary(method, fromJson(method.input, request));
  // The JSON of a reply message is an object.
  return toJson(method.output, reply) as JsonObject;
}

export type NamedRequest = { readonly name: string; readonly request: JsonObject };

/** As `send`, with a method that is looked for when the command runs. */
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
  if (method.methodKind === "unary") return method as DescMethodUnary;
  throw new Error(`${name} streams`);
}
