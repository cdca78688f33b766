import { parse } from "content-type";
import type { RequestHead } from "../domain/http/protocol-handler.ts";
import { RequestError } from "../domain/request-error.ts";

/** The headers' statement about the body: it is JSON, there is none, or they do not say. */
export type BodyType = "json" | "none" | "untyped";

/**
 * Refuses a body that is not JSON by the headers alone. Only `application/json` is taken, with no parameter but
 * `charset=utf-8`. A body that is known to be empty may have any type or none: `curl -d ''` sends the type of a form.
 */
export function bodyType({ headers }: RequestHead): BodyType {
  if (headers.get("content-length")?.join() === "0") {
    return "none";
  }
  const types = headers.get("content-type") ?? [];
  if (types.length === 0) {
    const hasBody = headers.has("content-length") || headers.has("transfer-encoding");
    if (hasBody) {
      throw typeRefused("none");
    }
    return "untyped";
  }
  if (types.length > 1 || !isJson(types[0] ?? "")) {
    throw typeRefused(types.join(", "));
  }
  return "json";
}

export function typeRefused(type: string): RequestError {
  return new RequestError(
    "UNSUPPORTED_MEDIA_TYPE",
    `The body's content-type is ${type}; send JSON with the header content-type: application/json.`,
    { metadata: { content_type: type } },
  );
}

function isJson(header: string): boolean {
  const { type, parameters } = parse(header);
  const { charset = "utf-8", ...others } = parameters;
  return type === "application/json" && charset.toLowerCase() === "utf-8" && Object.keys(others).length === 0;
}
