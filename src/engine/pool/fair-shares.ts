/** A task that takes longer than this is slow. */
const slowMs = 250;

/** How long an organisation is remembered for a slow task, and for a quick one. */
const memoryMs = 60_000;

type Running = { readonly beginTime: number };
type Share = { readonly running: Set<Running>; slowTime: number; quickTime: number };

/** How many organisations are known before those are forgotten that have done nothing of late. */
const knownMax = 1_000;

/**
 * How many children an organisation may hold. One of them is kept from those whose tasks are slow, or not known to be
 * quick, so that a short task of another organisation finds it free, and waits for no deadline.
 */
export class Shares {
  readonly #childrenMax: number;
  readonly #shares = new Map<string, Share>();

  constructor(childrenMax: number) {
    this.#childrenMax = childrenMax;
  }

  /** Whether an organisation may take a child that is free. */
  mayTake(organizationId: string): boolean {
    const share = this.#shares.get(organizationId);
    if (share === undefined || this.#childrenMax <= 1) return true;
    return share.running.size < this.#childrenMax - 1 || isQuick(share);
  }

  /** Counts a task of an organisation until the function is called that it gives. */
  take(organizationId: string): () => void {
    this.#forget();
    const share = this.#shares.get(organizationId) ?? { running: new Set(), slowTime: -memoryMs, quickTime: -memoryMs };
    this.#shares.set(organizationId, share);
    const running = { beginTime: performance.now() };
    share.running.add(running);
    return () => {
      share.running.delete(running);
      const now = performance.now();
      if (now - running.beginTime > slowMs) share.slowTime = now;
      else share.quickTime = now;
    };
  }

  #forget(): void {
    if (this.#shares.size < knownMax) return;
    const since = performance.now() - memoryMs;
    for (const [id, { running, slowTime, quickTime }] of this.#shares) {
      if (running.size === 0 && slowTime < since && quickTime < since) this.#shares.delete(id);
    }
  }
}

/** Whether an organisation has shown that its tasks are quick. */
function isQuick({ running, slowTime, quickTime }: Share): boolean {
  const now = performance.now();
  const isSlow = slowTime > now - memoryMs || [...running].some(({ beginTime }) => now - beginTime > slowMs);
  return !isSlow && quickTime > now - memoryMs;
}
