import { type Tenant, turnOfTenant } from "../../domain/account.ts";
import { FairQueue } from "../../domain/collections/fair-queue.ts";
import { RequestError } from "../../domain/request-error.ts";

/** Gives the connection back. */
export type Release = () => void;

type Waiting = { readonly organizationId: string | undefined; readonly resolve: (release: Release) => void };

/** The longest wait for a connection. */
const waitMs = 5_000;

/** The share of the connections that all callers together may hold: the rest is for the process's own work. */
function callsMaxOf(max: number): number {
  return Math.max(1, Math.floor(max * 0.8));
}

/**
 * A fair semaphore for the connections of a pool. The process's own work (batched statements, periodic tasks) has a fifth of
 * them to itself. Where both wait, own work and the organisations alternate, and the organisations are served round robin.
 * An organisation may hold as many connections as it leaves free for others (dynamic thresholds, Choudhury and Hahne 1998),
 * so that slow reads of one leave a connection for the next.
 */
export class ConnectionSemaphore {
  readonly #max: number;
  readonly #callsMax: number;
  readonly #own: Waiting[] = [];
  readonly #callers = new FairQueue<Waiting>();
  /** Connections held, by organisation. */
  readonly #heldBy = new Map<string, number>();
  #held = 0;
  #heldByCalls = 0;
  #isTurnOfCalls = false;

  constructor(max: number) {
    this.#max = max;
    this.#callsMax = callsMaxOf(max);
  }

  /** Waits for a connection, for a caller or for the process's own work. Throws SERVER_BUSY after the longest wait. */
  async acquire(caller: Tenant | undefined): Promise<Release> {
    const organizationId = caller?.organizationId;
    // Nobody is overtaken: those who wait could not be served when the last connection was released.
    if (this.#mayHold(organizationId)) {
      return this.#hold(organizationId);
    }
    const { promise, resolve } = Promise.withResolvers<Release>();
    const waiting = { organizationId, resolve };
    const path = caller && turnOfTenant(caller);
    if (path === undefined) {
      this.#own.push(waiting);
    } else {
      this.#callers.push(path, waiting);
    }
    const { promise: over, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      if (path === undefined) {
        this.#own.splice(this.#own.indexOf(waiting), 1);
      } else {
        this.#callers.delete(path, waiting);
      }
      reject(path === undefined ? new Error("timeout exceeded when trying to connect") : busy(this.#callsMax));
    }, waitMs);
    try {
      return await Promise.race([promise, over]);
    } finally {
      clearTimeout(timer);
    }
  }

  #mayHold(organizationId: string | undefined): boolean {
    if (this.#held >= this.#max) {
      return false;
    }
    return organizationId === undefined || (this.#heldBy.get(organizationId) ?? 0) < this.#callsMax - this.#heldByCalls;
  }

  #hold(organizationId: string | undefined): Release {
    this.#add(organizationId, 1);
    let isHeld = true;
    return () => {
      if (!isHeld) {
        return;
      }
      isHeld = false;
      this.#add(organizationId, -1);
      this.#serve();
    };
  }

  #add(organizationId: string | undefined, count: number): void {
    this.#held += count;
    if (organizationId === undefined) {
      return;
    }
    this.#heldByCalls += count;
    const held = (this.#heldBy.get(organizationId) ?? 0) + count;
    if (held > 0) {
      this.#heldBy.set(organizationId, held);
    } else {
      this.#heldBy.delete(organizationId);
    }
  }

  #serve(): void {
    while (this.#held < this.#max) {
      const nextOfCalls = () => this.#callers.shift((id) => !this.#mayHold(id));
      const next = this.#isTurnOfCalls ? (nextOfCalls() ?? this.#own.shift()) : (this.#own.shift() ?? nextOfCalls());
      if (next === undefined) {
        return;
      }
      this.#isTurnOfCalls = next.organizationId === undefined;
      next.resolve(this.#hold(next.organizationId));
    }
  }
}

function busy(max: number): RequestError {
  const message = `All database connections that calls may use are in use (${max}, limit connections). Try again.`;
  return new RequestError("SERVER_BUSY", message, {
    metadata: { limit: "connections", value: String(max) },
    retryAfterSeconds: 1,
  });
}
