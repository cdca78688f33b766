import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { HttpExchange, RequestHead } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { replyBare } from "./raw-response.ts";

type Connection = {
  readonly socket: Duplex;
  /** The replies that are due on it, in order. */
  readonly unanswered: ReadonlySet<ServerResponse>;
  readonly limits: Pick<ServerLimits, "lingerMs">;
};

/** Ends a connection of HTTP/1.1 on which Node could not read a request, behind the replies that are due on it. */
export function endBroken(error: NodeJS.ErrnoException, { socket, unanswered, limits }: Connection): void {
  // `pipelining.ts` has stopped the parser, and cut the connection.
  if (error.code === "HPE_PAUSED") return;
  // Words of ours before or in the middle of another request's reply would be taken for it or for a part of it.
  const due = [...unanswered].findLast(
    ({ req, headersSent, writableFinished }) => !writableFinished && (req.complete || headersSent),
  );
  if (due === undefined) refuseBrokenRequest(error, socket, limits.lingerMs);
  else if (due.headersSent) socket.destroy();
  else due.shouldKeepAlive = false;
}

/**
 * Answers bytes that Node could not read as a request, or not in time, and ends the connection: what follows on it
 * cannot be told apart from the rest of the broken request, and a proxy before us may take it for somebody else's.
 */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex, lingerMs: number): void {
  if (socket.writableEnded) return;
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy(error);
    return;
  }
  replyBare(refusalOf(error), socket, lingerMs);
}

/**
 * Throws RequestError for what Node reads and another server might read otherwise (RFC 9112, 2.3, 3.2 and 6.1): a request
 * that names no server or two, one of a version that we do not speak, a body whose end is not plain.
 */
export function requireOneReading({ headers }: RequestHead, { request }: HttpExchange): void {
  const { httpVersion } = request;
  if (httpVersion === "2.0" && "stream" in request) return;
  if (httpVersion !== "1.1" && httpVersion !== "1.0")
    throw malformed(`its version, ${httpVersion}, is not spoken here`);
  const hosts = headers.get("host")?.length ?? 0;
  if (hosts > 1 || (hosts === 0 && httpVersion === "1.1")) throw malformed(`it has ${hosts} Host headers; send one`);
  const encodings = headers.get("transfer-encoding") ?? [];
  const isPlain = encodings.length === 1 && encodings[0]?.toLowerCase() === "chunked" && httpVersion === "1.1";
  if (encodings.length > 0 && !isPlain) throw malformed("of transfer encodings only chunked is taken, over HTTP/1.1");
}

function malformed(problem: string, metadata: Readonly<Record<string, string>> = {}): RequestError {
  return new RequestError("MALFORMED_REQUEST", `The bytes are not an HTTP request: ${problem}.`, { metadata });
}

function refusalOf({ code = "", message }: NodeJS.ErrnoException): RequestError {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new RequestError("REQUEST_TIMEOUT", "The request was not complete in time; send it faster.");
    case "HPE_HEADER_OVERFLOW":
      return new RequestError(
        "HEADERS_TOO_LARGE",
        "The request line and headers are too large; send fewer or shorter.",
      );
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return new RequestError("PAYLOAD_TOO_LARGE", "The extensions of the body's chunks are too large; send none.");
    default: {
      // The parser's own words, such as "Invalid header value char"; they repeat nothing of the request.
      const problem = message.replace(/^Parse Error:?\s*/, "");
      return malformed(problem || "it breaks off", { code });
    }
  }
}
