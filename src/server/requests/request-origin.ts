import type { HttpExchange } from "../../domain/http/protocol-handler.ts";

/**
 * The scheme and authority that a request itself names (RFC 9110, 7.1): of the request line or the pseudo-headers, else of
 * `Host`. Headers such as X-Forwarded-Host are never read: anybody can send them. Where it names none that a URL can
 * have, it is where the request came in.
 */
export function originOf(request: HttpExchange["request"]): string {
  const [, lineScheme, lineAuthority] = /^(https?):\/\/([^/?#]*)/i.exec(request.url ?? "") ?? [];
  const isHttp2 = "stream" in request;
  const scheme = lineScheme?.toLowerCase() ?? (isHttp2 && request.headers[":scheme"] === "https" ? "https" : "http");
  const authority = lineAuthority ?? (isHttp2 ? request.headers[":authority"] : undefined) ?? request.headers.host;
  return parsedOrigin(scheme, authority ?? "") ?? localOrigin(request);
}

function parsedOrigin(scheme: string, authority: string): string | undefined {
  // What is more than a host and a port would become a path or a user.
  if (!/^[^\s/?#@\\]+$/.test(authority)) return undefined;
  return URL.parse(`${scheme}://${authority}`)?.origin;
}

function localOrigin({ socket }: HttpExchange["request"]): string {
  const { localAddress = "127.0.0.1", localPort = 80 } = socket;
  return `http://${localAddress.includes(":") ? `[${localAddress}]` : localAddress}:${localPort}`;
}
