import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { HttpExchange, RequestHead } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { writeRawResponse } from "./raw-response.ts";

type Connection = {
  readonly socket: Duplex;
  /** The responses that are still owed on the connection, in order. */
  readonly pending: ReadonlySet<ServerResponse>;
  readonly limits: Pick<ServerLimits, "lingerMs">;
};

/** Closes a connection of HTTP/1.1 on which Node could not parse a request, after the responses that are owed on it. */
export function closeMalformed(error: NodeJS.ErrnoException, { socket, pending, limits }: Connection): void {
  // `pipelining.ts` has paused the parser, and destroyed the connection.
  if (error.code === "HPE_PAUSED") {
    return;
  }
  // Never write an error while an earlier pipelined request awaits its response: the client would take it as that one.
  const owed = [...pending].findLast(
    ({ req, headersSent, writableFinished }) => !writableFinished && (req.complete || headersSent),
  );
  if (owed === undefined) {
    refuseMalformed(error, socket, limits.lingerMs);
  } else if (owed.headersSent) {
    socket.destroy();
  } else {
    owed.shouldKeepAlive = false;
  }
}

/**
 * Answers bytes that Node could not parse, or did not receive in time, and closes the connection. The bytes that follow
 * cannot be told apart from the rest of the malformed request, and a proxy may take them for a request of somebody else
 * (request smuggling).
 */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex, lingerMs: number): void {
  if (socket.writableEnded) {
    return;
  }
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy(error);
    return;
  }
  writeRawResponse(toRequestError(error), socket, lingerMs);
}

/**
 * Prevents request smuggling: throws RequestError for what Node accepts and another server may read differently (RFC
 * 9112, 2.3, 3.2 and 6.1). That is a request without a Host header or with two, another HTTP version, and a body whose
 * end is ambiguous.
 */
export function requireUnambiguous({ headers }: RequestHead, { request }: HttpExchange): void {
  const { httpVersion } = request;
  if (httpVersion === "2.0" && "stream" in request) {
    return;
  }
  if (httpVersion !== "1.1" && httpVersion !== "1.0") {
    throw malformed(`HTTP version ${httpVersion} is not supported`);
  }
  const hosts = headers.get("host")?.length ?? 0;
  if (hosts > 1 || (hosts === 0 && httpVersion === "1.1")) {
    throw malformed(`it has ${hosts} Host headers; send one`);
  }
  const encodings = headers.get("transfer-encoding") ?? [];
  const isChunked = encodings.length === 1 && encodings[0]?.toLowerCase() === "chunked" && httpVersion === "1.1";
  if (encodings.length > 0 && !isChunked) {
    throw malformed("the only supported transfer encoding is chunked, over HTTP/1.1");
  }
}

function malformed(problem: string, metadata: Readonly<Record<string, string>> = {}): RequestError {
  return new RequestError("MALFORMED_REQUEST", `The bytes are not an HTTP request: ${problem}.`, { metadata });
}

function toRequestError({ code = "", message }: NodeJS.ErrnoException): RequestError {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new RequestError("REQUEST_TIMEOUT", "The request was not complete in time; send it faster.");
    case "HPE_HEADER_OVERFLOW":
      return new RequestError(
        "HEADERS_TOO_LARGE",
        "The request line and headers are too large; send fewer or shorter ones.",
      );
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return new RequestError("PAYLOAD_TOO_LARGE", "The chunk extensions of the body are too large; send none.");
    default: {
      // The parser's own text, such as "Invalid header value char", quotes nothing of the request.
      const problem = message.replace(/^Parse Error:?\s*/, "");
      return malformed(problem || "it is incomplete", { code });
    }
  }
}
