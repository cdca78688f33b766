/** A task that takes longer than this is slow. */
const slowMs = 250;

/** A slow or a quick task counts for its organisation for this long. */
const memoryMs = 60_000;

type Running = { readonly startTime: number };
type Share = { readonly running: Set<Running>; slowTime: number; quickTime: number };

/** Above this number of organisations, those without recent tasks are removed. */
const organizationsMax = 1_000;

/**
 * Limits the children that one organisation may use at a time. An organisation whose tasks are slow, or not known to be quick,
 * may use all but one, so that a short task of another organisation does not have to wait for a deadline.
 */
export class FairShares {
  readonly #childrenMax: number;
  readonly #shares = new Map<string, Share>();

  constructor(childrenMax: number) {
    this.#childrenMax = childrenMax;
  }

  /** Whether an organisation may use an idle child. */
  mayTake(organizationId: string): boolean {
    const share = this.#shares.get(organizationId);
    if (share === undefined || this.#childrenMax <= 1) {
      return true;
    }
    return share.running.size < this.#childrenMax - 1 || isQuick(share);
  }

  /** Counts a running task, and gives the function that ends it. */
  take(organizationId: string): () => void {
    this.#removeInactive();
    const share = this.#shares.get(organizationId) ?? { running: new Set(), slowTime: -memoryMs, quickTime: -memoryMs };
    this.#shares.set(organizationId, share);
    const running = { startTime: performance.now() };
    share.running.add(running);
    return () => {
      share.running.delete(running);
      const now = performance.now();
      if (now - running.startTime > slowMs) {
        share.slowTime = now;
      } else {
        share.quickTime = now;
      }
    };
  }

  #removeInactive(): void {
    if (this.#shares.size < organizationsMax) {
      return;
    }
    const since = performance.now() - memoryMs;
    for (const [id, { running, slowTime, quickTime }] of this.#shares) {
      if (running.size === 0 && slowTime < since && quickTime < since) {
        this.#shares.delete(id);
      }
    }
  }
}

/** Whether an organisation's recent tasks were quick. */
function isQuick({ running, slowTime, quickTime }: Share): boolean {
  const now = performance.now();
  const isSlow = slowTime > now - memoryMs || [...running].some(({ startTime }) => now - startTime > slowMs);
  return !isSlow && quickTime > now - memoryMs;
}
