import { RequestError } from "../domain/request-error.ts";

/** One parameter of a query, decoded. */
export type QueryParameter = { readonly name: string; readonly text: string };

/** Splits a query at `&` and the first `=`, and decodes each part once. Throws RequestError for bad percent escapes. */
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

/** Decodes the percent escapes of a text. Throws RequestError where they are not UTF-8 in hexadecimal. */
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

function decodeForm(text: string): string {
  return decodePercent(text.replaceAll("+", " "));
}
