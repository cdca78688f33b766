import type { Dispatcher } from "undici";
import type { Reply, ReplyBody } from "./answer-body.ts";
import type { Deadline } from "./call-deadline.ts";
import { HttpFailure } from "./http-failure.ts";

/**
 * What undici reads of one answer, handed on as it comes. undici's own streams cost several times the call itself and
 * would buffer what the limit of the answer bounds anyway.
 */
export class IncomingAnswer implements Dispatcher.DispatchHandler, ReplyBody {
  readonly #head = Promise.withResolvers<Reply>();
  #controller: Dispatcher.DispatchController | undefined;
  #connection: Connection | undefined;
  #isOnKept = false;
  /** What came with the head, before somebody reads: no more than one read of the socket. */
  readonly #early: Buffer[] = [];
  #reader: Reader | undefined;
  #end: { readonly error?: Error } | undefined;

  readonly #onSend: () => void;

  /**
   * @param deadline ends the answer at once, whether or not there is a connection yet
   * @param onSend is called before anything of the request goes out
   */
  constructor(deadline: Deadline, onSend: () => void) {
    this.#onSend = onSend;
    deadline.listen((failure) => this.#fail(failure));
  }

  /** Settles when the head has come. */
  get head(): Promise<Reply> {
    return this.#head.promise;
  }

  /** Whether the connection that the request was sent on had answered another one before. */
  get isOnKept(): boolean {
    return this.#isOnKept;
  }

  setConnection(connection: Connection): void {
    this.#connection = connection;
  }

  read(add: (chunk: Uint8Array) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      for (const chunk of this.#early.splice(0)) add(chunk);
      this.#reader = { add, resolve, reject };
      if (this.#end !== undefined) this.#settle(this.#end);
    });
  }

  /** The connection breaks, which ends the request by itself: an answer that has not ended by now never does. */
  break(error: Error): void {
    this.#finish({ error });
    this.#head.reject(error);
  }

  discard(): void {
    this.#fail(new Error("nobody reads the answer"));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#end?.error !== undefined) {
      controller.abort(this.#end.error);
      return;
    }
    this.#onSend();
    this.#isOnKept = this.#connection?.use(this) ?? false;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: object): void {
    if (status >= 200) {
      // undici's type allows for absent values; a received header always has one.
      this.#head.resolve({ status, headers: headers as Reply["headers"], body: this });
      return;
    }
    // The others have been skipped before.
    throw new HttpFailure("CONNECTION_FAILED", "The server sent too many interim answers (1xx) before the real one.");
  }

  /** What it throws ends the answer, and undici its connection. */
  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#end !== undefined) return;
    if (this.#reader === undefined) this.#early.push(chunk);
    else this.#reader.add(chunk);
  }

  onResponseEnd(): void {
    this.#finish({});
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error);
  }

  #fail(error: Error): void {
    if (this.#end !== undefined) return;
    this.#finish({ error });
    this.#head.reject(error);
    this.#controller?.abort(error);
  }

  #finish(end: { readonly error?: Error }): void {
    this.#end ??= end;
    this.#settle(this.#end);
  }

  /** A kept connection remembers its last answer, which so holds no body any more. */
  #settle({ error }: { readonly error?: Error }): void {
    const reader = this.#reader;
    this.#reader = undefined;
    if (error === undefined) reader?.resolve();
    else reader?.reject(error);
  }
}

/** See KeptClient. */
type Connection = { use(answer: IncomingAnswer): boolean };

type Reader = {
  readonly add: (chunk: Uint8Array) => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
};
