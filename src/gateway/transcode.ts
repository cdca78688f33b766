import { create, type DescField, type DescMessage, type JsonValue, type Message, ScalarType } from "@bufbuild/protobuf";
import { fieldByName, fieldPath } from "../domain/json/field-path.ts";
import { messageOf } from "../domain/json/json-message.ts";
import { parseJson, valueMessage } from "../domain/json/json-parse.ts";
import { type JsonRules, messageRules } from "../domain/json/json-rules.ts";
import { scanJson } from "../domain/json/json-scan.ts";
import { fieldsRefused, isObject } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import { type FieldViolation, RequestError } from "../domain/request-error.ts";
import { setFromText } from "./field-text.ts";
import type { HttpBinding } from "./http-binding.ts";
import type { PathTemplate, TemplateVariable } from "./path-template.ts";
import { QueryParameters } from "./query.ts";

/** The parts of an HTTP request; segments and query are not decoded. */
export type RequestParts = {
  readonly segments: readonly string[];
  readonly query: string;
  readonly body: Uint8Array;
};

/** How the body is read, as the `body` of the `google.api.http` option says. */
type RequestBody = {
  /** Whether a body is read at all. */
  readonly isRead: boolean;
  readonly bytesMax: number;
  /** The name of the limit `bytesMax` in a refusal. */
  readonly limitName: "payload_bytes" | "transport_bytes";
  /**
   * Scans and parses a body that is not empty, and returns what makes the request message of it: each of both takes a while
   * for a large body, so that others may have the thread in between. Both throw RequestError.
   */
  parse(bytes: Uint8Array): () => Message;
};

/**
 * Transcodes an HTTP request into a request message, as the binding of its method says: each field comes from the path,
 * the body, the query or a header, and only from one of them. The handler chain reads the headers, for all protocols. What
 * depends on the binding alone is worked out once.
 */
export class Transcoder {
  readonly body: RequestBody;
  readonly #input: DescMessage;
  readonly #setters: readonly PathSetter[];
  readonly #query: QueryParameters;

  /** Throws where the binding does not fit the message. */
  constructor({ method: { input }, template, body }: HttpBinding, limits: Limits) {
    this.#input = input;
    this.#setters = template.variables.map((variable) => pathSetter(variable, template, input));
    const pathFields = template.variables.map((variable) => variable.fieldPath.join("."));
    this.body = requestBody(input, { body, pathFields }, limits);
    this.#query = new QueryParameters(input, { body, pathFields });
  }

  /** Throws RequestError, with a violation for each bad field. */
  request({ body, ...parts }: RequestParts): Message {
    return this.requestOf(parts, body.length === 0 ? undefined : this.body.parse(body));
  }

  /** The same for a body that was parsed before; without one the message is empty. */
  requestOf({ segments, query }: Omit<RequestParts, "body">, body: (() => Message) | undefined): Message {
    const message = body === undefined ? create(this.#input) : body();
    let violations: FieldViolation[] | undefined;
    for (const set of this.#setters) {
      const violation = set(message, segments);
      if (violation !== undefined) {
        violations = [...(violations ?? []), violation];
      }
    }
    if (query !== "") {
      violations = [...(violations ?? []), ...this.#query.fill({ schema: this.#input, message }, query)];
    }
    if (violations !== undefined && violations.length > 0) {
      throw fieldsRefused(violations);
    }
    return message;
  }
}

/** Sets a field from the segments of the path. */
type PathSetter = (message: Message, segments: readonly string[]) => FieldViolation | undefined;

function pathSetter(variable: TemplateVariable, template: PathTemplate, schema: DescMessage): PathSetter {
  const path = fieldPath(schema, variable.fieldPath);
  if (path === undefined || path.leaf.fieldKind === "list") {
    const name = variable.fieldPath.join(".");
    throw new Error(`${template.source}: ${name} is not a field of ${schema.typeName} that a path can fill`);
  }
  const { leaf, fields } = path;
  const isPlain = fields.length === 1 && leaf.scalar === ScalarType.STRING && leaf.oneof === undefined;
  return (message, segments) => {
    const text = variableText(variable, segments);
    if (!isPlain || text.includes("\0")) {
      return setFromText({ schema, message }, path, text);
    }
    // A text field of the message itself holds the text as it is.
    (message as Message & Record<string, unknown>)[leaf.localName] = text;
    return undefined;
  };
}

/**
 * The text of a variable, decoded once. In a variable of several segments an encoded slash stays encoded, since it would
 * look like one between segments (google/api/http.proto).
 */
function variableText({ start, end }: TemplateVariable, segments: readonly string[]): string {
  if (end === start + 1) {
    return decodePercent(segments[start] ?? "");
  }
  const own = segments.slice(start, end === "rest" ? segments.length : end);
  const decode = (text: string) => (/^%2f$/i.test(text) ? text : decodePercent(text));
  return own.map((segment) => segment.split(/(%2f)/i).map(decode).join("")).join("/");
}

/** Decodes percent-encoding. Throws RequestError where it is malformed or not UTF-8. */
function decodePercent(text: string): string {
  try {
    return text.includes("%") ? decodeURIComponent(text) : text;
  } catch (cause) {
    const shown = text.slice(0, 100);
    const message = `The URL holds ${JSON.stringify(shown)}, whose % escapes are not UTF-8.`;
    throw new RequestError("VALIDATION_ERROR", message, { metadata: { text: shown }, cause });
  }
}

type BindingBody = { readonly body: string; readonly pathFields: readonly string[] };

/** Throws where the binding names a field that the message does not have. */
function requestBody(input: DescMessage, { body, pathFields }: BindingBody, limits: Limits): RequestBody {
  if (body === "") {
    return { isRead: false, bytesMax: 0, limitName: "transport_bytes", parse: () => () => create(input) };
  }
  if (body === "*") {
    return wholeBody(input, pathFields, limits);
  }
  const field = fieldByName(input, body);
  if (field === undefined) {
    throw new Error(`${input.typeName} has no field ${body} to be the body`);
  }
  return fieldBody(input, field, limits);
}

function wholeBody(input: DescMessage, pathFields: readonly string[], limits: Limits): RequestBody {
  const rules = messageRules(limits);
  const parse = (bytes: Uint8Array) => {
    const json = parseJson(scanJson(bytes, rules));
    const taken = pathFields.filter((name) => hasMember(json, name.split(".")));
    if (taken.length > 0) {
      throw fieldsRefused(
        taken.map((field) => ({ field, description: "is taken from the path; leave it out of the body" })),
      );
    }
    return () => messageOf(input, json);
  };
  return { isRead: true, bytesMax: rules.limits.bytesMax, limitName: "transport_bytes", parse };
}

function fieldBody(input: DescMessage, field: DescField, limits: Limits): RequestBody {
  const typeName = field.oneof === undefined && field.fieldKind === "message" ? field.message.typeName : undefined;
  const isValue = typeName === "google.protobuf.Value";
  if (!isValue && typeName !== "google.protobuf.Struct") {
    const rules: JsonRules = { name: field.name, limits: messageRules(limits).limits };
    const parse = (bytes: Uint8Array) => {
      const json = { [field.name]: parseJson(scanJson(bytes, rules)) };
      return () => messageOf(input, json);
    };
    return { isRead: true, bytesMax: rules.limits.bytesMax, limitName: "transport_bytes", parse };
  }
  const rules: JsonRules = { name: field.name, limits: limits.payload, ...(!isValue && { root: "object" }) };
  const parse = (bytes: Uint8Array) => {
    const text = scanJson(bytes, rules);
    // The object of a Struct is kept as it was parsed, since it carries its text; a message made of it would not.
    const value = isValue ? valueMessage(text) : parseJson(text);
    return () => create(input, { [field.localName]: value });
  };
  return { isRead: true, bytesMax: rules.limits.bytesMax, limitName: "payload_bytes", parse };
}

function hasMember(json: JsonValue | undefined, names: readonly string[]): boolean {
  const [name, ...inner] = names;
  if (name === undefined) {
    return json !== undefined;
  }
  return isObject(json) && Object.hasOwn(json, name) && hasMember(json[name], inner);
}
