import { Client, type Dispatcher } from "undici";
import { IncomingAnswer } from "./incoming-answer.ts";

/** One connection at a time, on which each request is told whether another one has had its answer there before. */
export class KeptClient extends Client {
  #isUsed = false;

  constructor(...[origin, options]: ConstructorParameters<typeof Client>) {
    super(origin, options);
    this.on("connect", () => {
      this.#isUsed = false;
    });
  }

  /** A request goes out on the connection: answers whether it is not the first. Each one waits for the answer before. */
  use(): boolean {
    const wasUsed = this.#isUsed;
    this.#isUsed = true;
    return wasUsed;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof IncomingAnswer) handler.setConnection(this);
    return super.dispatch(options, handler);
  }
}
