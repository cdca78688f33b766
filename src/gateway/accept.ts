import { parse } from "content-type";
import type { RequestHeaders } from "../domain/http/call.ts";

/** Whether the caller takes a body that is packed with gzip. */
export function acceptsGzip(headers: RequestHeaders): boolean {
  const encodings = weights(headers, "accept-encoding");
  return (encodings.get("gzip") ?? encodings.get("*") ?? 0) > 0;
}

/**
 * Whether the caller asks for refusals as RFC 9457 writes them: it names the type, and likes it no less than JSON. A
 * caller that takes both alike is one that tells a reply from a refusal by them.
 */
export function acceptsProblem(headers: RequestHeaders): boolean {
  const types = weights(headers, "accept");
  const weight = types.get("application/problem+json") ?? 0;
  return weight > 0 && weight >= (types.get("application/json") ?? 0);
}

/**
 * What the values of an Accept header name, in lower case, and how much each is liked (RFC 9110, 12.4.2). Their order says
 * nothing, so that a library which decides by it, as negotiator does, would answer another question.
 */
function weights(headers: RequestHeaders, name: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const value of headers.get(name) ?? []) {
    for (let start = 0; start < value.length; ) {
      const { type, parameters, index } = parse(value, { comma: true, start });
      start = index + 1;
      const { q = "1" } = parameters;
      if (type !== "") found.set(type, /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(q) ? Number(q) : 0);
    }
  }
  return found;
}
