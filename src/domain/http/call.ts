import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { Principal } from "../principal.ts";
import type { RequestError } from "../request-error.ts";

/** The protocol of a request. */
export type Protocol = "rest" | "connect" | "grpc" | "grpc-web";

/** One call in the handler chain, in the same form for each protocol. */
export type Call = {
  readonly requestId: string;
  readonly protocol: Protocol;
  /** Absent for the few methods that need no key, such as gRPC health. */
  readonly principal?: Principal;
  /**
   * The scheme and authority of the request, as `http://127.0.0.1:4180`. Absent where the call did not come by a request.
   */
  readonly origin?: () => string;
  /** Request headers by lower-case name, each with its values in order; a header given twice has two values. */
  readonly headers: RequestHeaders;
  /**
   * Aborts when the caller goes away or its deadline passes. Where the reason is a RequestError the caller is still there and
   * receives it: a server that stops ends its streams in this way.
   */
  readonly signal: AbortSignal;
  /** The caller's deadline on the clock of `performance.now()`; absent where it set none. */
  readonly deadline?: number;
  /**
   * Called by the handler when the call only waits from now on: it frees its place among the calls in flight for another.
   */
  readonly onWait?: () => void;
  /**
   * Reserves memory for bytes that are about to be read for the reply. Throws RequestError where the caller would hold too
   * many bytes of replies that it has not taken. Absent where the call did not come by a request.
   */
  readonly reserveReply?: (bytes: number) => void;
  /**
   * Called before a large message is parsed or written: settles when the fair queue gives the thread to the caller's
   * organisation; undefined where it may go on at once. Absent where the call did not come by a request.
   */
  readonly turn?: () => Promise<void> | undefined;
  /** Headers that the handler adds to the reply, with lower-case names. */
  readonly replyHeaders: Map<string, string>;
  /** Set by whoever writes a refusal to the caller, for the log and for metrics. */
  refusal?: RequestError;
};

export type RequestHeaders = ReadonlyMap<string, readonly string[]>;

/**
 * The handler chain of unary methods: fills fields from headers, validates, and calls the handler. A protocol handler makes
 * the request message and writes the reply. Throws only RequestError.
 */
export type Invoke = (method: DescMethod, request: Message, call: Call) => Promise<Message>;

/**
 * The handler chain of methods that answer a stream. The stream throws only RequestError, and ends without an error soon
 * after the caller has gone.
 */
export type InvokeStream = (method: DescMethod, request: Message, call: Call) => AsyncIterable<Message>;
