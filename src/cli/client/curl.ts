import {
  type DescMethod,
  getOption,
  hasOption,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { header as headerOption } from "../../gen/flowcall/v1/options_pb.ts";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { CliError } from "../output/cli-error.ts";
import { fullName } from "./methods.ts";

export type CurlOptions = { readonly url: string; readonly headers?: Headers };

/**
 * Writes a call as a curl command for its REST path. The key stays in $FLOWCALL_API_KEY. Throws CliError for a method
 * without a REST path.
 */
export function curlOf(method: DescMethod, request: Message, { url, headers }: CurlOptions): string {
  const rule = getOption(method, http);
  const { case: verb, value: template } = rule.pattern;
  if (!hasOption(method, http) || verb === undefined || verb === "custom") {
    throw new CliError(`${fullName(method)} has no REST path, so curl cannot call it.`);
  }
  const json = toJson(method.input, request);
  // The JSON of a request message is an object.
  const fields = new Map(Object.entries(json as JsonObject));
  const path = template.replaceAll(/\{([^}=]+)(?:=[^}]*)?\}/g, (_, name: string) => {
    return encodeURIComponent(String(take(fields, name) ?? ""));
  });
  const sent = [...headerFields(method, fields), ...(headers ?? [])];
  const body = rule.body === "*" ? Object.fromEntries(fields) : take(fields, rule.body);
  const hasBody = rule.body === "*" ? fields.size > 0 : body !== undefined;
  const query = rule.body === "*" ? "" : new URLSearchParams([...fields].flatMap(parameters)).toString();
  const lines = [
    `curl -sS${method.methodKind === "unary" ? "" : "N"} --request ${verb.toUpperCase()} ${quoted(url + path + (query && `?${query}`))}`,
    '--header "x-api-key: $FLOWCALL_API_KEY"',
    ...sent.map(([name, value]) => `--header ${quoted(`${name}: ${value}`)}`),
    ...(hasBody
      ? [`--header ${quoted("content-type: application/json")}`, `--data ${quoted(JSON.stringify(body))}`]
      : []),
  ];
  return lines.join(" \\\n  ");
}

/** Removes the fields that are sent as headers, and answers those headers. */
function headerFields(method: DescMethod, fields: Map<string, JsonValue>): readonly (readonly [string, string])[] {
  return method.input.fields.flatMap((field) => {
    if (!hasOption(field, headerOption) || !fields.has(field.name)) {
      return [];
    }
    const { name, preference } = getOption(field, headerOption);
    const value = String(take(fields, field.name));
    return [[name, preference === undefined || preference === "" ? value : `${preference}=${value}`] as const];
  });
}

function take(fields: Map<string, JsonValue>, name: string): JsonValue | undefined {
  const value = fields.get(name);
  fields.delete(name);
  return value;
}

function parameters([name, value]: readonly [string, JsonValue]): [string, string][] {
  if (Array.isArray(value)) {
    return value.map((item) => [name, String(item)]);
  }
  if (typeof value !== "object" || value === null) {
    return [[name, String(value)]];
  }
  return Object.entries(value).flatMap(([inner, member]) => parameters([`${name}.${inner}`, member]));
}

/** Quotes a text as one word of a POSIX shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
