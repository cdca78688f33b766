import { type Tenant, turnOfTenant } from "../../domain/account.ts";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import { Turns } from "../../engine/run/yield-to-event-loop.ts";
import { Held } from "../limits/usage-counter.ts";

/** How long requests with a key may be begun, and large replies written, in one turn of the event loop. */
const sliceMs = 5;

/**
 * The turns by which requests with a key have the thread, of organisations and their environments. Whoever sends a
 * thousand at a time, or asks for a hundred large replies, waits behind itself; a call of another is behind one slice.
 */
export class ThreadTurns {
  readonly #turns = new Turns({ sliceMs });
  /** How many requests of each address wait to be begun, or refused. */
  readonly #waiting = new Held<string>();

  /** Settles when it is the turn of a tenant; undefined: now. */
  take(tenant: Tenant): Promise<void> | undefined {
    return this.#turns.take(turnOfTenant(tenant));
  }

  /** The same for a request that is to be begun, or refused. */
  begin(tenant: Tenant, exchange: Pick<HttpExchange, "address">): Promise<void> | undefined {
    const turn = this.take(tenant);
    if (turn === undefined) return undefined;
    const { address } = exchange;
    this.#waiting.add(address, 1);
    return turn.then(() => this.#waiting.add(address, -1));
  }

  isWaiting(address: string): boolean {
    return this.#waiting.by(address) > 0;
  }
}
