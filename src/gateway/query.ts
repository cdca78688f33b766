import { RequestError } from "../domain/request-error.ts";

/** One parameter of a query, decoded. */
export type QueryParameter = { readonly name: string; readonly text: string };

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

/** Decodes percent-encoding. Throws RequestError where it is malformed or not UTF-8. */
export function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    const shown = text.slice(0, 100);
    throw new RequestError(
      "VALIDATION_ERROR",
      `The URL holds ${JSON.stringify(shown)}, whose % escapes are not UTF-8.`,
      {
        metadata: { text: shown },
        cause,
      },
    );
  }
}

/** The refusal does not repeat the text: a query may hold a token, and refusals are logged. */
function decodeForm(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw new RequestError("VALIDATION_ERROR", "The query's % escapes are not UTF-8.");
  }
}
