import type { DescMessage, Message } from "@bufbuild/protobuf";
import { type FieldPath, fieldPath, headerOf, isTextual } from "../domain/json/field-path.ts";
import { fieldsRefused, violationsMax } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import type { FieldViolation } from "../domain/request-error.ts";
import { setFromText, type TextTarget } from "./field-text.ts";
import type { HttpBinding } from "./http-binding.ts";
import type { PathTemplate, TemplateVariable } from "./path-template.ts";
import { decodePercent, parseQuery, type QueryParameter } from "./query.ts";
import { type RequestBody, requestBody } from "./request-body.ts";

/** The parts of an HTTP request; segments and query are not decoded. */
export type RequestParts = {
  readonly segments: readonly string[];
  readonly query: string;
  readonly body: Uint8Array;
};

/**
 * Transcodes an HTTP request into a request message, as the binding of its method says: each field comes from the path,
 * the body, the query or a header, and only from one of them. The handler chain reads the headers, for all protocols.
 */
export class Transcoder {
  readonly body: RequestBody;
  readonly #input: DescMessage;
  readonly #binding: HttpBinding;
  readonly #variables: readonly Variable[];
  readonly #known: string;

  /** Throws where the binding does not fit the message. */
  constructor(binding: HttpBinding, limits: Limits) {
    this.#binding = binding;
    this.#input = binding.method.input;
    this.#variables = pathVariables(binding.template, this.#input);
    const pathFields = this.#variables.map((variable) => variable.path.name);
    this.body = requestBody(this.#input, { body: binding.body, pathFields }, limits);
    this.#known = this.#knownParameters();
  }

  /** Throws RequestError, with a violation for each bad field. */
  request({ body, ...parts }: RequestParts): Message {
    return this.requestOf(parts, this.body.parse(body));
  }

  /** The same for a body that was parsed before. */
  requestOf(parts: Omit<RequestParts, "body">, body: () => Message): Message {
    const target = { schema: this.#input, message: body() };
    const violations: FieldViolation[] = [];
    for (const violation of this.#fill(target, parts)) {
      violations.push(violation);
      if (violations.length === violationsMax) {
        break;
      }
    }
    if (violations.length > 0) {
      throw fieldsRefused(violations);
    }
    return target.message;
  }

  /** Fills the fields from the path and the query, and yields a violation for each that is wrong. */
  *#fill(target: TextTarget, { segments, query }: Omit<RequestParts, "body">): Iterable<FieldViolation> {
    for (const { path, variable } of this.#variables) {
      const violation = setFromText(target, path, variableText(variable, segments));
      if (violation !== undefined) {
        yield violation;
      }
    }
    const seen = new Set<string>();
    for (const parameter of parseQuery(query)) {
      const violation = this.#setParameter(target, parameter, seen);
      if (violation !== undefined) {
        yield violation;
      }
    }
  }

  #setParameter(target: TextTarget, { name, text }: QueryParameter, seen: Set<string>): FieldViolation | undefined {
    const path = fieldPath(this.#input, name.split("."));
    const problem = this.#parameterProblem(name, path);
    if (problem !== undefined) {
      return { field: name, description: problem };
    }
    if (path === undefined) {
      return undefined;
    }
    if (path.leaf.fieldKind !== "list" && seen.has(path.name)) {
      return { field: path.name, description: "is given twice in the query" };
    }
    seen.add(path.name);
    return setFromText(target, path, text);
  }

  /** Why this method does not take a parameter in the query; undefined where it does. */
  #parameterProblem(name: string, path: FieldPath | undefined): string | undefined {
    const header = path?.fields.map(headerOf).find((found) => found !== undefined);
    if (header !== undefined) {
      return `is not read from the query; send the header ${header}`;
    }
    if (path === undefined) {
      return this.#unknownParameter(name);
    }
    if (this.#variables.some((variable) => variable.path.name === path.name)) {
      return "is taken from the path; leave it out of the query";
    }
    const isInBody = this.#binding.body === "*" || path.fields[0]?.name === this.#binding.body;
    return isInBody ? "is read from the body, not from the query" : undefined;
  }

  #unknownParameter(name: string): string {
    const first = name.split(".")[0];
    if (this.#binding.body !== "" && first === this.#binding.body) {
      return "is read from the body, not from the query";
    }
    return `is not a query parameter of this method; ${this.#known === "" ? "it takes none" : `it takes ${this.#known}`}`;
  }

  /** The fields of the message itself that a query may fill. */
  #knownParameters(): string {
    return this.#input.fields
      .filter((field) => isTextual(field))
      .filter((field) => this.#parameterProblem(field.name, fieldPath(this.#input, [field.name])) === undefined)
      .map((field) => field.name)
      .join(", ");
  }
}

type Variable = { readonly variable: TemplateVariable; readonly path: FieldPath };

function pathVariables(template: PathTemplate, input: DescMessage): readonly Variable[] {
  return template.variables.map((variable) => {
    const path = fieldPath(input, variable.fieldPath);
    if (path === undefined || path.leaf.fieldKind === "list") {
      const name = variable.fieldPath.join(".");
      throw new Error(`${template.source}: ${name} is not a field of ${input.typeName} that a path can fill`);
    }
    return { variable, path };
  });
}

/**
 * The text of a variable, decoded once. In a variable of several segments an encoded slash stays encoded, since it would
 * look like one between segments (google/api/http.proto).
 */
function variableText(variable: TemplateVariable, segments: readonly string[]): string {
  const end = variable.end === "rest" ? segments.length : variable.end;
  const own = segments.slice(variable.start, end);
  if (variable.end !== "rest" && variable.end - variable.start === 1) {
    return decodePercent(own.join("/"));
  }
  return own.map((segment) => segment.split(/(%2f)/i).map(decodeUnlessSlash).join("")).join("/");
}

function decodeUnlessSlash(text: string): string {
  return /^%2f$/i.test(text) ? text : decodePercent(text);
}
