import { FairQueue } from "../../domain/collections/fair-queue.ts";

/**
 * Pause between two connections: a number of event loop iterations or of milliseconds, whichever is over first.
 * `acceptingPause` applies while the kernel's accept queue is not empty. During the pause, requests on older connections
 * are served, which need several iterations each. When iterations are long, one is enough.
 */
const pause = { iterations: 4, ms: 5 };
const acceptingPause = { iterations: 16, ms: 20 };

/**
 * How long the queued requests of an address hold back its new connections. The time is short, because many callers may
 * share an address.
 */
const requestsMs = 100;

/**
 * Connections start in the same iteration until they have brought this many requests. A connection with one or two
 * requests costs little, so that starting only one per iteration would delay many such clients.
 */
const batchRequestsMax = 16;

/**
 * Backoff of an address after a connection that brought more requests than `batchRequestsMax`, in milliseconds for each
 * of them: Node reads all of them in one iteration of the event loop.
 */
const backoffMsPerRequest = 1.2;

type QueuedConnection = { readonly start: () => void; readonly requests: number };

export type NewConnectionQueueOptions = {
  /** The connections accepted so far. */
  readonly accepted: { readonly count: number };
  /** The addresses whose requests are queued. */
  readonly queuedRequests?: { has(address: string): boolean };
  /** In milliseconds. */
  readonly now?: () => number;
};

/**
 * Paces new connections: a few start at a time, round-robin over the client addresses, and only when no connection waits
 * in the kernel's accept queue.
 *
 * Node accepts one connection in each iteration of its event loop. If each one started at once, a burst from one client
 * would keep the connections of others in the accept queue, while everything pipelined on the first ones is served.
 *
 * An address starts no further connection while its requests are queued, or right after a connection that brought many
 * requests.
 */
export class NewConnectionQueue {
  readonly #accepted: { readonly count: number };
  readonly #queuedRequests: { has(address: string): boolean };
  readonly #now: () => number;
  readonly #queue = new FairQueue<QueuedConnection>();
  /** When the backoff of each address ends. */
  readonly #backoffs = new Map<string, number>();
  #acceptedBefore = 0;
  #iterations = 0;
  #startTime = 0;
  #isPacing = false;

  constructor(options: NewConnectionQueueOptions) {
    const { accepted, queuedRequests = new Set(), now = () => performance.now() } = options;
    this.#accepted = accepted;
    this.#queuedRequests = queuedRequests;
    this.#now = now;
  }

  /** Settles when a connection that brought so many requests may start; undefined: at once. */
  take(address: string, requests: number): Promise<void> | undefined {
    const mayStart = !this.#isPacing && !this.#queuedRequests.has(address) && !this.#backoffs.has(address);
    if (mayStart) {
      this.#backOff(address, requests);
    }
    const turn = mayStart ? undefined : this.#enqueue(address, requests);
    if (!this.#isPacing) {
      this.#isPacing = true;
      this.#beginPause();
    }
    return turn;
  }

  #enqueue(address: string, requests: number): Promise<void> {
    return new Promise((resolve) => {
      const start = () => {
        this.#backOff(address, requests);
        resolve();
      };
      this.#queue.push([address], { start, requests });
    });
  }

  #backOff(address: string, requests: number): void {
    if (requests > batchRequestsMax) {
      this.#backoffs.set(address, this.#now() + backoffMsPerRequest * requests);
    }
  }

  #beginPause(): void {
    this.#iterations = 0;
    this.#startTime = this.#now();
    setImmediate(this.#continue);
  }

  readonly #continue = (): void => {
    const accepted = this.#accepted.count;
    // A connection that was accepted in the last iteration may have others behind it, and makes the pause longer.
    const { iterations, ms } = accepted === this.#acceptedBefore ? pause : acceptingPause;
    this.#acceptedBefore = accepted;
    this.#iterations += 1;
    if (this.#iterations < iterations && this.#now() - this.#startTime < ms) {
      setImmediate(this.#continue);
    } else if (this.#queue.size === 0 && this.#backoffs.size === 0) {
      this.#isPacing = false;
    } else if (this.#startBatch()) {
      this.#beginPause();
    } else if (this.#backoffs.size > 0) {
      // Immediates alone would keep the processor busy until the next backoff ends.
      setTimeout(() => setImmediate(this.#continue), 1);
    } else {
      setImmediate(this.#continue);
    }
  };

  /** Returns whether any connection has started. */
  #startBatch(): boolean {
    const now = this.#now();
    for (const [address, time] of this.#backoffs) {
      if (time <= now) {
        this.#backoffs.delete(address);
      }
    }
    const isLate = now - this.#startTime > requestsMs;
    const isSkipped = (address: string) =>
      this.#backoffs.has(address) || (!isLate && this.#queuedRequests.has(address));
    let requests = 0;
    while (requests < batchRequestsMax) {
      const next = this.#queue.shift(isSkipped);
      if (next === undefined) {
        break;
      }
      next.start();
      requests += next.requests;
    }
    return requests > 0;
  }
}
