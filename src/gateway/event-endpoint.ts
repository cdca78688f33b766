import type { Message } from "@bufbuild/protobuf";
import type { Clock } from "../domain/clock.ts";
import type { Call, InvokeStream } from "../domain/http/call.ts";
import type { HttpExchange, RequestHead, Route } from "../domain/http/protocol-handler.ts";
import type { Limits } from "../domain/limits.ts";
import { noLongerNeeded } from "../domain/no-longer-needed.ts";
import { errorReply, restRefusal } from "./error-envelope.ts";
import { EventStream } from "./event-stream.ts";
import { EventWriter, eventText, heartbeat } from "./event-text.ts";
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
 * One method whose reply is a stream, at one path: its messages are sent as Server-Sent Events
 * (html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * A refusal before the first message is an ordinary reply; after it, it is a last event of the type `error`. A stream that
 * ends without a message is answered 204, which tells an EventSource not to reconnect.
 */
export class EventEndpoint {
  readonly #binding: HttpBinding;
  readonly #options: EventEndpointOptions;
  readonly #transcoder: Transcoder;
  readonly #writer: EventWriter;

  /** Throws where the binding does not fit its messages. */
  constructor(binding: HttpBinding, options: EventEndpointOptions) {
    this.#binding = binding;
    this.#options = options;
    this.#transcoder = new Transcoder(binding, options.limits);
    this.#writer = new EventWriter(binding.method.output);
  }

  route(head: RequestHead, segments: readonly string[]): Route {
    const { scope, path: name, takesWatchToken } = this.#binding;
    const { value: token, rest } = takesWatchToken ? takeParameter(head.query, "watch_token") : { rest: head.query };
    const route: Route = {
      access: scope,
      protocol: "rest",
      name,
      isStream: true,
      serve: (exchange, call) => this.#serve({ query: rest, segments, exchange }, call),
      refuse: (exchange, call, error) => writeReply(exchange, errorReply(error, call), call),
    };
    return token === undefined ? route : { ...withoutReferrer(route), token };
  }

  async #serve(incoming: Incoming, call: Call): Promise<void> {
    const { exchange } = incoming;
    const stream = new EventStream({ exchange, call, ...this.#options });
    try {
      for await (const message of this.#messages(incoming, call, stream)) {
        await stream.write(message === undefined ? heartbeat : this.#writer.write(message));
        if (stream.isOver) {
          break;
        }
      }
      if (!stream.isOpen) {
        await writeReply(exchange, { status: 204, headers: {}, body: "" }, call);
      }
    } catch (error) {
      const reply = errorReply(
        restRefusal(error, () => this.#options.report(error, call)),
        call,
      );
      if (stream.isOpen) {
        await stream.write(eventText({ type: "error", data: reply.body }));
      } else {
        await writeReply(exchange, reply, call);
      }
    } finally {
      stream.end();
    }
  }

  /** The messages as they come, and undefined (a heartbeat is due) whenever none has come for a while. */
  async *#messages(
    { query, segments }: Incoming,
    call: Call,
    stream: EventStream,
  ): AsyncGenerator<Message | undefined> {
    const request = this.#transcoder.request({ segments, query, body: new Uint8Array() });
    // A HEAD request takes no events, so its handler is ended although the caller is still there.
    const over = new AbortController();
    const signal = AbortSignal.any([call.signal, over.signal]);
    const { method } = this.#binding;
    const messages = this.#options.invokeStream(method, request, { ...call, signal })[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = messages.next();
        while (await stream.isSilent(next)) {
          yield undefined;
        }
        const { done, value } = await next;
        if (done === true) {
          return;
        }
        yield value;
      }
    } finally {
      over.abort(noLongerNeeded);
      await messages.return?.();
    }
  }
}

type Incoming = { readonly query: string; readonly segments: readonly string[]; readonly exchange: HttpExchange };

/** Referrer-Policy: this URL holds a token, and a browser must not send it to other sites. */
function withoutReferrer({ serve, refuse, ...route }: Route): Route {
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
