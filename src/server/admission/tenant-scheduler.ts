import { type Tenant, turnOfTenant } from "../../domain/account.ts";
import type { HttpExchange } from "../../domain/http/protocol-handler.ts";
import { EventLoopYielder } from "../../engine/run/event-loop-yielder.ts";
import { UsageCounter } from "../limits/usage-counter.ts";

/** The share of one iteration of the event loop in which authenticated requests start and large replies are written. */
const sliceMs = 5;

/**
 * Fair scheduling of the event loop, round-robin over organisations and their environments. A tenant that sends a thousand
 * requests at a time, or asks for a hundred large replies, delays only itself; others wait for one slice.
 */
export class TenantScheduler {
  readonly #turns = new EventLoopYielder({ sliceMs });
  /** The queued requests of each client address. */
  readonly #queued = new UsageCounter<string>();

  /** Settles when it is the tenant's turn; undefined: at once. */
  take(tenant: Tenant): Promise<void> | undefined {
    return this.#turns.yieldIfOver(turnOfTenant(tenant));
  }

  /** The same for a request that is to be started or refused. It counts as queued meanwhile. */
  takeForRequest(tenant: Tenant, exchange: Pick<HttpExchange, "address">): Promise<void> | undefined {
    const turn = this.take(tenant);
    if (turn === undefined) {
      return undefined;
    }
    const { address } = exchange;
    this.#queued.add(address, 1);
    return turn.then(() => this.#queued.add(address, -1));
  }

  hasQueuedRequests(address: string): boolean {
    return this.#queued.of(address) > 0;
  }
}
