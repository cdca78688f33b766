/** Counts how much of a resource each key uses, and all keys together. */
export class UsageCounter<Key> {
  readonly #amounts = new Map<Key, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  of(key: Key): number {
    return this.#amounts.get(key) ?? 0;
  }

  /** Adds an amount; a negative one is released. */
  add(key: Key, amount: number): void {
    const next = this.of(key) + amount;
    if (next > 0) {
      this.#amounts.set(key, next);
    } else {
      this.#amounts.delete(key);
    }
    this.#total += amount;
  }
}
