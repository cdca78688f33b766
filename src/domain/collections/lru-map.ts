/**
 * An LRU cache: a map of limited size that evicts the least recently used entry. It relies on the insertion order of
 * `Map`: an entry that is used is inserted anew, so that the first one is the least recently used.
 */
export class LruMap<Key, Value> {
  readonly #sizeMax: number;
  readonly #onEvict: ((key: Key, value: Value) => void) | undefined;
  readonly #entries = new Map<Key, Value>();

  /** @param onEvict is called with each entry that makes room for another one, and not with those that are deleted */
  constructor(sizeMax: number, onEvict?: (key: Key, value: Value) => void) {
    this.#sizeMax = sizeMax;
    this.#onEvict = onEvict;
  }

  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) {
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** Reads an entry without marking it as used. */
  peek(key: Key): Value | undefined {
    return this.#entries.get(key);
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  set(key: Key, value: Value): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#sizeMax) {
      this.#evict();
    }
  }

  delete(key: Key): boolean {
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** All entries, the least recently used first. */
  entries(): MapIterator<[Key, Value]> {
    return this.#entries.entries();
  }

  values(): MapIterator<Value> {
    return this.#entries.values();
  }

  #evict(): void {
    const [oldest] = this.#entries;
    if (oldest === undefined) {
      return;
    }
    this.#entries.delete(oldest[0]);
    this.#onEvict?.(...oldest);
  }
}
