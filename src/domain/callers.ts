import { AsyncLocalStorage } from "node:async_hooks";
import type { Tenant } from "./account.ts";

/**
 * For whom the code runs: within `run`, and in all that is awaited there, `current` is the caller; elsewhere there is
 * none, and what is done is the process's own work. What outlives a call and works for all, a `Loop`, leaves its context.
 */
export class Callers {
  readonly #storage = new AsyncLocalStorage<Tenant>();

  get current(): Tenant | undefined {
    return this.#storage.getStore();
  }

  run<Result>(caller: Tenant, work: () => Result): Result {
    return this.#storage.run(caller, work);
  }

  /** The same for a stream: each of its messages is made for the caller, whoever asks for it. */
  async *each<Message>(caller: Tenant, messages: AsyncIterable<Message>): AsyncGenerator<Message> {
    const iterator = messages[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.run(caller, () => iterator.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await this.run(caller, () => iterator.return?.());
    }
  }
}
