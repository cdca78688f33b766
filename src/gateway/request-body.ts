import { create, type DescField, type DescMessage, type JsonValue, type Message } from "@bufbuild/protobuf";
import { fieldByName } from "../domain/json/field-path.ts";
import { messageOf } from "../domain/json/json-message.ts";
import { parseJson } from "../domain/json/json-parse.ts";
import { type JsonRules, messageRules } from "../domain/json/json-rules.ts";
import { scanJson } from "../domain/json/json-scan.ts";
import { valueMessage } from "../domain/json/value-message.ts";
import { fieldsRefused, isObject } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";

/** Makes the request message of a binding from the body, as the `body` of its `google.api.http` option says. */
export type RequestBody = {
  /** Whether a body is read at all. */
  readonly isRead: boolean;
  readonly bytesMax: number;
  /** The name of the limit `bytesMax` in a refusal. */
  readonly limitName: "payload_bytes" | "transport_bytes";
  /**
   * Scans and parses a body, and returns what makes the request message of it: each of both takes a while for a large body,
   * so that others may have the thread in between. An empty body makes an empty message. Both throw RequestError.
   */
  parse(bytes: Uint8Array): () => Message;
};

/** Throws where the binding names a field that the message does not have. */
export function requestBody(
  input: DescMessage,
  binding: { readonly body: string; readonly pathFields: readonly string[] },
  limits: Limits,
): RequestBody {
  if (binding.body === "") {
    return { isRead: false, bytesMax: 0, limitName: "transport_bytes", parse: () => () => create(input) };
  }
  if (binding.body === "*") {
    return wholeBody(input, binding.pathFields, limits);
  }
  const field = fieldByName(input, binding.body);
  if (field === undefined) {
    throw new Error(`${input.typeName} has no field ${binding.body} to be the body`);
  }
  return fieldBody(input, field, limits);
}

function wholeBody(input: DescMessage, pathFields: readonly string[], limits: Limits): RequestBody {
  const rules = messageRules(limits);
  return body(input, { rules }, (bytes) => {
    const json = parseJson(scanJson(bytes, rules));
    const taken = pathFields.filter((name) => hasMember(json, name.split(".")));
    if (taken.length > 0) {
      throw fieldsRefused(
        taken.map((field) => ({ field, description: "is taken from the path; leave it out of the body" })),
      );
    }
    return () => messageOf(input, json);
  });
}

function fieldBody(input: DescMessage, field: DescField, limits: Limits): RequestBody {
  const init = (value: unknown): Message => create(input, { [field.localName]: value });
  switch (field.oneof === undefined && field.fieldKind === "message" ? field.message.typeName : undefined) {
    case "google.protobuf.Struct": {
      const rules: JsonRules = { name: field.name, limits: limits.payload, root: "object" };
      // The object is kept as it was parsed, since it carries its text; reading it as a message would lose that.
      return body(input, { rules, limitName: "payload_bytes" }, (bytes) => {
        const json = parseJson(scanJson(bytes, rules));
        return () => init(json);
      });
    }
    case "google.protobuf.Value": {
      const rules: JsonRules = { name: field.name, limits: limits.payload };
      return body(input, { rules, limitName: "payload_bytes" }, (bytes) => {
        const text = scanJson(bytes, rules);
        return () => init(valueMessage(text));
      });
    }
    default: {
      const rules: JsonRules = { name: field.name, limits: messageRules(limits).limits };
      return body(input, { rules }, (bytes) => {
        const json = { [field.name]: parseJson(scanJson(bytes, rules)) };
        return () => messageOf(input, json);
      });
    }
  }
}

function body(
  input: DescMessage,
  { rules, limitName = "transport_bytes" }: BodyRules,
  parse: (bytes: Uint8Array) => () => Message,
): RequestBody {
  return {
    isRead: true,
    bytesMax: rules.limits.bytesMax,
    limitName,
    parse: (bytes) => (bytes.length === 0 ? () => create(input) : parse(bytes)),
  };
}

type BodyRules = { readonly rules: JsonRules; readonly limitName?: RequestBody["limitName"] };

function hasMember(json: JsonValue | undefined, names: readonly string[]): boolean {
  const [name, ...inner] = names;
  if (name === undefined) {
    return json !== undefined;
  }
  return isObject(json) && Object.hasOwn(json, name) && hasMember(json[name], inner);
}
