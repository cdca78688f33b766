import type { HttpExchange } from "../../domain/http/protocol-handler.ts";

/**
 * The scheme and authority that a request names (RFC 9110, 7.1): in its request line or pseudo-headers, else in `Host`.
 * If they do not form a URL, the result is the address that the request came in at. X-Forwarded-Host and the like are
 * never read, because any client can send them.
 */
export function originOf(request: HttpExchange["request"]): string {
  const [, lineScheme, lineAuthority] = /^(https?):\/\/([^/?#]*)/i.exec(request.url ?? "") ?? [];
  const isHttp2 = "stream" in request;
  const scheme = lineScheme?.toLowerCase() ?? (isHttp2 && request.headers[":scheme"] === "https" ? "https" : "http");
  const authority = lineAuthority ?? (isHttp2 ? request.headers[":authority"] : undefined) ?? request.headers.host;
  return parseOrigin(scheme, authority ?? "") ?? localOrigin(request);
}

function parseOrigin(scheme: string, authority: string): string | undefined {
  // Only a host and a port: any other part would become a path or a user of the URL.
  if (!/^[^\s/?#@\\]+$/.test(authority)) {
    return undefined;
  }
  return URL.parse(`${scheme}://${authority}`)?.origin;
}

function localOrigin({ socket }: HttpExchange["request"]): string {
  const { localAddress = "127.0.0.1", localPort = 80 } = socket;
  return `http://${localAddress.includes(":") ? `[${localAddress}]` : localAddress}:${localPort}`;
}
