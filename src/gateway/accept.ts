import type { RequestHeaders } from "../domain/call.ts";

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

/** What the values of an Accept header name, in lower case, and how much each is liked (RFC 9110, 12.4.2). */
function weights(headers: RequestHeaders, name: string): ReadonlyMap<string, number> {
  const items = headers.get(name)?.flatMap((value) => value.split(",").filter((item) => item.trim() !== "")) ?? [];
  return new Map(
    items.map((item) => {
      const [range = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
      const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
      return [range, /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(weight) ? Number(weight) : 0];
    }),
  );
}
