import { parse } from "content-type";
import type { RequestHeaders } from "../domain/http/call.ts";

/** Whether the caller takes a body that is compressed with gzip. */
export function acceptsGzip(headers: RequestHeaders): boolean {
  const encodings = weights(headers, "accept-encoding");
  return (encodings.get("gzip") ?? encodings.get("*") ?? 0) > 0;
}

/**
 * Whether the caller asks for errors as RFC 9457 writes them: it accepts the type with no lower weight than JSON. A caller
 * that accepts both alike tells a reply from an error by its type.
 */
export function acceptsProblem(headers: RequestHeaders): boolean {
  const types = weights(headers, "accept");
  const weight = types.get("application/problem+json") ?? 0;
  return weight > 0 && weight >= (types.get("application/json") ?? 0);
}

/**
 * The weights that an Accept header gives to its values, which are in lower case here (RFC 9110, section 12.4.2). The order
 * of the values has no meaning there, but the library `negotiator` goes by it.
 */
function weights(headers: RequestHeaders, name: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const value of headers.get(name) ?? []) {
    for (let start = 0; start < value.length; ) {
      const { type, parameters, index } = parse(value, { comma: true, start });
      start = index + 1;
      const { q = "1" } = parameters;
      if (type !== "") {
        found.set(type, /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(q) ? Number(q) : 0);
      }
    }
  }
  return found;
}
