import type { Dispatcher } from "undici";
import type { AnswerBody, UnreadAnswer } from "./answer-body.ts";
import type { CallDeadline } from "./call-deadline.ts";
import { HttpFailure } from "./http-failure.ts";

/**
 * Receives one answer from undici, and passes it on chunk by chunk. undici's own body streams would cost several times the CPU
 * time of the call, for buffering that the limit of the answer makes unnecessary.
 */
export class IncomingAnswer implements Dispatcher.DispatchHandler, AnswerBody {
  readonly #head = Promise.withResolvers<UnreadAnswer>();
  #controller: Dispatcher.DispatchController | undefined;
  #connection: Connection | undefined;
  #isReused = false;
  /** The chunks that came before anybody read: no more than one read of the socket. */
  readonly #early: Buffer[] = [];
  #reader: Reader | undefined;
  #end: { readonly error?: Error } | undefined;

  readonly #onSend: () => void;

  /**
   * @param deadline ends the answer at once, even before there is a connection
   * @param onSend is called before the first byte of the request is sent
   */
  constructor(deadline: CallDeadline, onSend: () => void) {
    this.#onSend = onSend;
    deadline.listen((failure) => this.#fail(failure));
  }

  /** Settles when the head has come. */
  get head(): Promise<UnreadAnswer> {
    return this.#head.promise;
  }

  /** Whether the request was sent on a keep-alive connection that had answered another one before. */
  get isReused(): boolean {
    return this.#isReused;
  }

  setConnection(connection: Connection): void {
    this.#connection = connection;
  }

  read(add: (chunk: Uint8Array) => void): Promise<void> | undefined {
    for (const chunk of this.#early.splice(0)) {
      add(chunk);
    }
    if (this.#end?.error !== undefined) {
      throw this.#end.error;
    }
    if (this.#end !== undefined) {
      return undefined;
    }
    return new Promise((resolve, reject) => {
      this.#reader = { add, resolve, reject };
    });
  }

  /** Notes that the connection broke. An answer that is not complete by now never will be. */
  break(error: Error): void {
    this.#finish({ error });
    this.#head.reject(error);
  }

  discard(): void {
    this.#fail(new Error("the answer was discarded"));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#end?.error !== undefined) {
      controller.abort(this.#end.error);
      return;
    }
    this.#onSend();
    this.#isReused = this.#connection?.use(this) ?? false;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: object): void {
    if (status >= 200) {
      // undici's type allows for absent values; a received header always has one.
      this.#head.resolve({ status, headers: headers as UnreadAnswer["headers"], body: this });
      return;
    }
    // The filter has skipped the first interim answers, up to its limit.
    throw new HttpFailure("CONNECTION_FAILED", "The server sent too many interim answers (1xx) before the real one.");
  }

  /** An error that this throws ends the answer, and makes undici close the connection. */
  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#end !== undefined) {
      return;
    }
    if (this.#reader === undefined) {
      this.#early.push(chunk);
    } else {
      this.#reader.add(chunk);
    }
  }

  onResponseEnd(): void {
    this.#finish({});
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error);
  }

  #fail(error: Error): void {
    if (this.#end !== undefined) {
      return;
    }
    this.#finish({ error });
    this.#head.reject(error);
    this.#controller?.abort(error);
  }

  #finish(end: { readonly error?: Error }): void {
    this.#end ??= end;
    this.#settle(this.#end);
  }

  /** Releases the reader, because a keep-alive connection keeps a reference to its last answer. */
  #settle({ error }: { readonly error?: Error }): void {
    const reader = this.#reader;
    this.#reader = undefined;
    if (error === undefined) {
      reader?.resolve();
    } else {
      reader?.reject(error);
    }
  }
}

/** The keep-alive client that sends the request. */
type Connection = { use(answer: IncomingAnswer): boolean };

type Reader = {
  readonly add: (chunk: Uint8Array) => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
};
