import { type buildConnector, Client, type Dispatcher } from "undici";
import { IncomingAnswer } from "./incoming-answer.ts";
import { InterimAnswerFilter } from "./interim-answer-filter.ts";

/** An undici client for one keep-alive connection, which tells each request whether the connection was used before. */
export class KeepAliveClient extends Client {
  #isUsed = false;
  #filter: InterimAnswerFilter | undefined;
  #answer: IncomingAnswer | undefined;

  constructor(origin: URL, { connect, ...options }: Client.Options & { readonly connect: buildConnector.connector }) {
    const connectFiltered: buildConnector.connector = (target, callback) => {
      connect(target, (...[error, socket]) => {
        if (error !== null) {
          return callback(error, null);
        }
        this.#filter = new InterimAnswerFilter(socket);
        // This listener comes before undici's, which takes a body of unknown length for complete when the connection is reset.
        socket.on("error", (broken) => this.#answer?.break(broken));
        callback(null, socket);
      });
    };
    super(origin, { ...options, connect: connectFiltered });
    this.on("connect", () => {
      this.#isUsed = false;
    });
  }

  /** Notes that a request is sent. Gives whether the connection has been used before. There is no pipelining. */
  use(answer: IncomingAnswer): boolean {
    this.#answer = answer;
    this.#filter?.expectHead();
    const wasUsed = this.#isUsed;
    this.#isUsed = true;
    return wasUsed;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof IncomingAnswer) {
      handler.setConnection(this);
    }
    return super.dispatch(options, handler);
  }
}
