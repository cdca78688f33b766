import { AsyncLocalStorage } from "node:async_hooks";
import type { Tenant } from "./account.ts";

/**
 * Carries the calling tenant through asynchronous code (AsyncLocalStorage). Inside `run`, and in everything awaited there,
 * `current` is the caller; elsewhere it is undefined, which means the process's own work. A background task that serves
 * everyone leaves the context in which it was started.
 */
export class CallerContext {
  readonly #storage = new AsyncLocalStorage<Tenant>();

  get current(): Tenant | undefined {
    return this.#storage.getStore();
  }

  run<Args extends unknown[], Result>(caller: Tenant, work: (...args: Args) => Result, ...args: Args): Result {
    return this.#storage.run(caller, work, ...args);
  }

  /** Runs a stream for the caller: each message is made in the caller's context, whoever reads the stream. */
  async *each<Message>(caller: Tenant, messages: AsyncIterable<Message>): AsyncGenerator<Message> {
    const iterator = messages[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.run(caller, () => iterator.next());
        if (next.done === true) {
          return;
        }
        yield next.value;
      }
    } finally {
      await this.run(caller, () => iterator.return?.());
    }
  }
}
