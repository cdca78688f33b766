import { Client, type Dispatcher } from "undici";
import { IncomingAnswer } from "./incoming-answer.ts";

/** One connection at a time, which tells each call on it whether it has answered another one before. */
export class KeptClient extends Client {
  #hasAnswered = false;

  constructor(...[origin, options]: ConstructorParameters<typeof Client>) {
    super(origin, options);
    this.on("connect", () => {
      this.#hasAnswered = false;
    });
  }

  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  noteAnswer(): void {
    this.#hasAnswered = true;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof IncomingAnswer) handler.setConnection(this);
    return super.dispatch(options, handler);
  }
}
