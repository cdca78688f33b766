import type { DescMessage } from "@bufbuild/protobuf";
import { type FieldPath, fieldPath, headerOf, isTextual } from "../domain/json/field-path.ts";
import { type FieldViolation, RequestError } from "../domain/request-error.ts";
import { setFromText, type TextTarget } from "./field-text.ts";

/** One parameter of a query, decoded. */
export type QueryParameter = { readonly name: string; readonly text: string };

/** Fills the fields of a request message from the query: those that neither the path, the body nor a header fills. */
export class QueryParameters {
  readonly #input: DescMessage;
  readonly #body: string;
  readonly #pathFields: readonly string[];
  readonly #known: string;

  /**
   * @param body the `body` of the binding
   * @param pathFields the fields that the path fills, each by its whole name
   */
  constructor(
    input: DescMessage,
    { body, pathFields }: { readonly body: string; readonly pathFields: readonly string[] },
  ) {
    this.#input = input;
    this.#body = body;
    this.#pathFields = pathFields;
    this.#known = input.fields
      .filter((field) => isTextual(field) && this.#problem(field.name, fieldPath(input, [field.name])) === undefined)
      .map((field) => field.name)
      .join(", ");
  }

  /** Yields a violation for each parameter that is wrong. Throws RequestError for a bad percent-encoding. */
  *fill(target: TextTarget, query: string): Iterable<FieldViolation> {
    const seen = new Set<string>();
    for (const { name, text } of parseQuery(query)) {
      const path = fieldPath(this.#input, name.split("."));
      const problem = this.#problem(name, path);
      if (problem !== undefined || path === undefined) {
        yield { field: name, description: problem ?? this.#unknown(name) };
      } else if (path.leaf.fieldKind !== "list" && seen.has(path.name)) {
        yield { field: path.name, description: "is given twice in the query" };
      } else {
        seen.add(path.name);
        const violation = setFromText(target, path, text);
        if (violation !== undefined) {
          yield violation;
        }
      }
    }
  }

  /** Why this method does not take a parameter in the query; undefined where it does. */
  #problem(name: string, path: FieldPath | undefined): string | undefined {
    if (path === undefined) {
      return this.#unknown(name);
    }
    const header = path.fields.map(headerOf).find((found) => found !== undefined);
    if (header !== undefined) {
      return `is not read from the query; send the header ${header}`;
    }
    if (this.#pathFields.includes(path.name)) {
      return "is taken from the path; leave it out of the query";
    }
    const isInBody = this.#body === "*" || path.fields[0]?.name === this.#body;
    return isInBody ? "is read from the body, not from the query" : undefined;
  }

  #unknown(name: string): string {
    if (this.#body !== "" && name.split(".")[0] === this.#body) {
      return "is read from the body, not from the query";
    }
    return `is not a query parameter of this method; ${this.#known === "" ? "it takes none" : `it takes ${this.#known}`}`;
  }
}

/** Splits a query at `&` and the first `=`, and decodes each part once. Throws RequestError for a bad percent-encoding. */
export function parseQuery(query: string): readonly QueryParameter[] {
  return query
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const equals = part.indexOf("=");
      const name = equals === -1 ? part : part.slice(0, equals);
      const text = equals === -1 ? "" : part.slice(equals + 1);
      return { name: decodeForm(name), text: decodeForm(text) };
    });
}

/** Takes one parameter out of a query, not decoded. Its value is empty where it is given more than once: none of them counts. */
export function takeParameter(query: string, name: string): { readonly value?: string; readonly rest: string } {
  const parts = query.split("&");
  const isIt = (part: string) => part === name || part.startsWith(`${name}=`);
  const [found, ...others] = parts.filter(isIt);
  if (found === undefined) {
    return { rest: query };
  }
  const value = others.length > 0 ? "" : found.slice(name.length + 1);
  return { value, rest: parts.filter((part) => !isIt(part)).join("&") };
}

/** The refusal does not repeat the text: a query may hold a token, and refusals are logged. */
function decodeForm(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw new RequestError("VALIDATION_ERROR", "The query's % escapes are not UTF-8.");
  }
}
