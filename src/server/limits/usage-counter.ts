/** How much of something each of many holds, and how much all of them hold together. */
export class Held<Key> {
  readonly #amounts = new Map<Key, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  by(key: Key): number {
    return this.#amounts.get(key) ?? 0;
  }

  /** Adds an amount, or takes it off where it is negative. */
  add(key: Key, amount: number): void {
    const now = this.by(key) + amount;
    if (now > 0) this.#amounts.set(key, now);
    else this.#amounts.delete(key);
    this.#total += amount;
  }
}
