import { type buildConnector, Client, type Dispatcher } from "undici";
import { IncomingAnswer } from "./incoming-answer.ts";
import { InterimFilter } from "./interim-answer-filter.ts";

/** One connection at a time, on which each request is told whether another one has had its answer there before. */
export class KeptClient extends Client {
  #isUsed = false;
  #filter: InterimFilter | undefined;
  #answer: IncomingAnswer | undefined;

  constructor(origin: URL, { connect, ...options }: Client.Options & { readonly connect: buildConnector.connector }) {
    const connectFiltered: buildConnector.connector = (target, callback) => {
      connect(target, (...[error, socket]) => {
        if (error !== null) return callback(error, null);
        this.#filter = new InterimFilter(socket);
        // Before undici, which takes what has come until a reset for a whole body where nothing says how long it is.
        socket.on("error", (broken) => this.#answer?.break(broken));
        callback(null, socket);
      });
    };
    super(origin, { ...options, connect: connectFiltered });
    this.on("connect", () => {
      this.#isUsed = false;
    });
  }

  /** A request goes out on the connection: answers whether it is not the first. Each one waits for the answer before. */
  use(answer: IncomingAnswer): boolean {
    this.#answer = answer;
    this.#filter?.expectHead();
    const wasUsed = this.#isUsed;
    this.#isUsed = true;
    return wasUsed;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof IncomingAnswer) handler.setConnection(this);
    return super.dispatch(options, handler);
  }
}
