import type { Message } from "@bufbuild/protobuf";
import type { Clock } from "../domain/clock.ts";
import type { Call, InvokeStream } from "../domain/http/call.ts";
import type { HttpExchange, RequestHead, Route } from "../domain/http/protocol-handler.ts";
import type { Limits } from "../domain/limits.ts";
import { noLongerNeeded } from "../domain/no-longer-needed.ts";
import { errorReply, refusalOf } from "./error-envelope.ts";
import { EventStream } from "./event-stream.ts";
import { comment, EventWriter, eventText } from "./event-text.ts";
import type { HttpBinding } from "./http-binding.ts";
import { writeReply } from "./http-reply.ts";
import { takeParameter } from "./query.ts";
import { Transcoder } from "./transcode.ts";

export type EventEndpointOptions = {
  readonly invokeStream: InvokeStream;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly report: (error: unknown, call: Call) => void;
};

/**
 * One method that answers a stream, at one path: its messages are sent as events (text/event-stream).
 *
 * What is refused before the first message is a reply like any other; later it is a last event of the type `error`. A
 * stream that ends without a message is answered 204, by which a reader that had everything knows not to come back.
 */
export class EventEndpoint {
  readonly #binding: HttpBinding;
  readonly #options: EventEndpointOptions;
  readonly #transcoder: Transcoder;
  readonly #writer: EventWriter;

  /** Throws where the binding and its messages do not fit together. */
  constructor(binding: HttpBinding, options: EventEndpointOptions) {
    this.#binding = binding;
    this.#options = options;
    this.#transcoder = new Transcoder(binding, options.limits);
    this.#writer = new EventWriter(binding.method.output);
  }

  route(head: RequestHead, segments: readonly string[]): Route {
    const { scope, takesWatchToken } = this.#binding;
    const { value: token, rest } = takesWatchToken ? takeParameter(head.query, "watch_token") : { rest: head.query };
    const route: Route = {
      access: scope,
      protocol: "rest",
      isStream: true,
      serve: (exchange, call) => this.#serve({ query: rest, segments, exchange }, call),
      refuse: (exchange, call, error) => writeReply(exchange, errorReply(error, call), call),
    };
    return token === undefined ? route : { ...unreferred(route), token };
  }

  async #serve(incoming: Incoming, call: Call): Promise<void> {
    const { exchange } = incoming;
    const stream = new EventStream({ exchange, call, ...this.#options });
    try {
      for await (const message of this.#pulled(incoming, call, stream)) {
        await stream.write(message === undefined ? comment : this.#writer.write(message));
        if (stream.isOver) break;
      }
      if (!stream.isOpen) await writeReply(exchange, { status: 204, headers: {}, body: "" }, call);
    } catch (error) {
      const reply = errorReply(
        refusalOf(error, () => this.#options.report(error, call)),
        call,
      );
      if (stream.isOpen) await stream.write(eventText({ type: "error", data: reply.body }));
      else await writeReply(exchange, reply, call);
    } finally {
      stream.end();
    }
  }

  /** The messages as they come, and undefined for each silence that is too long. */
  async *#pulled({ query, segments }: Incoming, call: Call, stream: EventStream): AsyncGenerator<Message | undefined> {
    const request = this.#transcoder.request({ segments, query, body: new Uint8Array() });
    // Ends the handler where nobody takes more of it though the caller is there: behind the head that HEAD asks for.
    const over = new AbortController();
    const signal = AbortSignal.any([call.signal, over.signal]);
    const { method } = this.#binding;
    const messages = this.#options.invokeStream(method, request, { ...call, signal })[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = messages.next();
        while (await stream.isSilent(next)) yield undefined;
        const { done, value } = await next;
        if (done === true) return;
        yield value;
      }
    } finally {
      over.abort(noLongerNeeded);
      await messages.return?.();
    }
  }
}

type Incoming = { readonly query: string; readonly segments: readonly string[]; readonly exchange: HttpExchange };

/** Keeps a browser from naming this URL, which holds a token, to whom it asks next (Referrer-Policy). */
function unreferred({ serve, refuse, ...route }: Route): Route {
  const mark = ({ replyHeaders }: Call) => replyHeaders.set("referrer-policy", "no-referrer");
  return {
    ...route,
    serve: async (exchange, call) => {
      mark(call);
      await serve(exchange, call);
    },
    refuse: async (exchange, call, error) => {
      mark(call);
      await refuse(exchange, call, error);
    },
  };
}
