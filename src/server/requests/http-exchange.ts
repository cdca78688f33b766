import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { Call, RequestHeaders } from "../../domain/http/call.ts";
import type { HttpExchange, NamedLimit, RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import { newId } from "../../domain/id.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Admission } from "../admission/admission.ts";
import { RequestTicket } from "../admission/request-ticket.ts";
import type { DecompressionQueue } from "../bodies/decompression-queue.ts";
import { readBody, tooLarge } from "../bodies/read-body.ts";
import type { Connection } from "../connections/address-connections.ts";
import type { ServerLimits } from "../limits/server-limits.ts";

/** Smaller bodies take too little time to wait for a slice of the event loop. */
const largeBytesMin = 64 * 1024;

/** Takes each request. `100 Continue` has not been sent to the client yet. */
export type RequestReceiver = { receive(exchange: Exchange): void };

/** A request as it comes from Node. */
export type ReceivedRequest = {
  readonly request: IncomingMessage | Http2ServerRequest;
  readonly response: ServerResponse | Http2ServerResponse;
  readonly connection: Connection;
  /** Refuses the request. */
  readonly error?: RequestError;
};

export type ExchangeOptions = {
  readonly limits: Pick<ServerLimits, "bodyMs">;
  readonly admission: Admission;
  readonly decompressions: DecompressionQueue;
};

/** A request and its response, with what it uses of the server. */
export class Exchange implements HttpExchange {
  readonly #options: ExchangeOptions;
  readonly request: ReceivedRequest["request"];
  readonly response: ReceivedRequest["response"];
  readonly connection: Connection;
  readonly address: string;
  readonly head: RequestHead;
  readonly ticket: RequestTicket;
  /** Aborts the call. */
  readonly abort = new AbortController();
  readonly startTime = performance.now();
  /** Refuses the request before its key is read. */
  readonly error: RequestError | undefined;
  readonly requestId: string;
  /** Headers that the handler adds to the reply. */
  readonly replyHeaders = new Map<string, string>();
  /** Undefined until it has been found. */
  route: Route | undefined;
  /** The same. */
  call: Call | undefined;
  /** Whether the reply has been written, or there will be none. */
  isServed = false;
  /** Whether no more of the reply will be sent. */
  isClosed = false;
  /** Cuts a client that does not read its reply. */
  deliveryTimer: NodeJS.Timeout | undefined;
  /** Slots of a request without a key, and of a stream with a token. They are released at the end of the request. */
  readonly slots: { release(): void }[] = [];

  constructor({ request, response, connection, error }: ReceivedRequest, options: ExchangeOptions) {
    this.#options = options;
    this.request = request;
    this.response = response;
    this.connection = connection;
    this.address = connection.address;
    this.error = error;
    // The request line may be in absolute form (RFC 9112, 3.2.2). Its host is this server in any case.
    const url = request.url ?? "";
    const target = url.startsWith("/") ? url : url.replace(/^https?:\/\/[^/?]*/i, "");
    const mark = target.indexOf("?");
    this.head = {
      method: request.method ?? "",
      path: mark === -1 ? target : target.slice(0, mark),
      query: mark === -1 ? "" : target.slice(mark + 1),
      headers: readHeaders(request.rawHeaders),
    };
    this.requestId = readRequestId(this.head.headers);
    this.ticket = new RequestTicket(options.admission, connection);
  }

  async readBody(bytesMax: number, limit?: NamedLimit): Promise<Uint8Array> {
    const { limits } = this.#options;
    const { request, ticket, head } = this;
    let body: Uint8Array;
    const length = request.readableLength;
    // A short body comes together with its head. Of a longer one Node has stopped reading the socket.
    const isHere = request.complete && length < request.readableHighWaterMark && !("stream" in request);
    if (isHere && !head.headers.has("content-encoding")) {
      if (length > bytesMax) {
        throw tooLarge(limit ?? transportLimit(bytesMax));
      }
      ticket.addBody(length);
      // The received bytes are a part of a much larger buffer of Node.
      body = length === 0 ? Buffer.alloc(0) : Buffer.from(request.read(length));
      // Ends the stream.
      request.read();
    } else {
      const options = { headers: head.headers, timeoutMs: limits.bodyMs, bytes: ticket };
      body = await readBody(request, { ...options, bytesMax, limit: limit ?? transportLimit(bytesMax) });
    }
    if (body.length >= largeBytesMin) {
      await ticket.nextSlice();
    }
    return body;
  }

  async unpack(part: Uint8Array, bytesMax: number): Promise<Uint8Array> {
    const { decompressions } = this.#options;
    const { ticket } = this;
    const unpacked = await decompressions.decompress(part, bytesMax, ticket.principal);
    ticket.addBody(unpacked.length);
    if (unpacked.length >= largeBytesMin) {
      await ticket.nextSlice();
    }
    return unpacked;
  }

  holdReply(bytes: number): void {
    this.ticket.addReply(bytes);
  }

  giveReply(bytes: number): void {
    this.ticket.releaseReply(bytes);
  }

  /**
   * Over HTTP/2 it resets the stream with CANCEL. `destroy` would send NO_ERROR, and the bytes that it leaves unsent would
   * keep the session open.
   */
  cut(): void {
    const { response } = this;
    if ("stream" in response) {
      response.stream.close(constants.NGHTTP2_CANCEL);
    } else {
      response.destroy();
    }
  }
}

function transportLimit(value: number): NamedLimit {
  return { name: "transport_bytes", value };
}

/** Reads the raw headers: `request.headers` joins or drops duplicates. */
function readHeaders(raw: readonly string[]): RequestHeaders {
  const headers = new Map<string, string[]>();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] ?? "").toLowerCase();
    const value = raw[index + 1] ?? "";
    if (name.startsWith(":")) {
      continue;
    }
    const values = headers.get(name);
    if (values === undefined) {
      headers.set(name, [value]);
    } else {
      values.push(value);
    }
  }
  return headers;
}

/** The client's own request id if it is safe in a log and in a header, else a new one. */
function readRequestId(headers: RequestHeaders): string {
  const ids = headers.get("x-request-id");
  const id = ids?.[0];
  return id !== undefined && ids?.length === 1 && /^[\x21-\x7e]{1,128}$/.test(id) ? id : newId();
}
