import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { Principal } from "../principal.ts";

/** How the caller speaks. */
export type Protocol = "rest" | "connect" | "grpc" | "grpc-web";

/** One call on its way through the handler chain, the same for every protocol. */
export type Call = {
  readonly requestId: string;
  readonly protocol: Protocol;
  /** Absent on the few methods that need no key (gRPC health). */
  readonly principal?: Principal;
  /**
   * The scheme and authority that the caller called, as `http://127.0.0.1:4180`, from the request itself. Absent where no request
   * carries the call.
   */
  readonly origin?: () => string;
  /** Request headers by lower-case name, each with its values in order; a header given twice has two values. */
  readonly headers: RequestHeaders;
  /**
   * Aborts when the caller goes away or its deadline passes. With a RequestError as the reason the caller is still there,
   * and is told it: a server that stops ends its streams so.
   */
  readonly signal: AbortSignal;
  /** By when the caller wants its answer, on the clock of `performance.now()`; absent where it does not say. */
  readonly deadline?: number;
  /**
   * Told by the handler once the call does nothing but wait for something to happen: its place among the calls that are
   * worked on is another's then.
   */
  readonly onWait?: () => void;
  /**
   * Counts bytes that are about to be read for the reply. Throws RequestError where the caller would hold too many of
   * replies that it has not taken. Absent where no caller holds anything.
   */
  readonly reserveReply?: (bytes: number) => void;
  /**
   * Asked before a large message is parsed or written: settles when it is the turn of the caller's organisation to have
   * the thread; undefined: it may go on now. Absent where nobody takes turns.
   */
  readonly turn?: () => Promise<void> | undefined;
  /** Filled by the handler; sent with the reply on every protocol. Lower-case names. */
  readonly replyHeaders: Map<string, string>;
};

export type RequestHeaders = ReadonlyMap<string, readonly string[]>;

/**
 * The handler chain: fills fields from headers, validates, and calls the method's handler. Both doors make the request
 * message and write the reply; everything between is here. Throws RequestError and nothing else.
 */
export type Invoke = (method: DescMethod, request: Message, call: Call) => Promise<Message>;

/**
 * The same for a method that answers a stream of messages. The stream throws RequestError and nothing else, and ends
 * without one soon after the caller has gone.
 */
export type InvokeStream = (method: DescMethod, request: Message, call: Call) => AsyncIterable<Message>;
