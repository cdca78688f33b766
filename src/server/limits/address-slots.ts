export type PlaceLimits = {
  readonly max: number;
  readonly perAddressMax: number;
};

/** Which bound has no place left. */
export type NoPlace = keyof PlaceLimits;

/** A place that is held. `isMoved` aborts where it is taken away for an address that holds fewer. */
export type Place = { readonly isMoved: AbortSignal; leave(): void };

/**
 * Places for what callers without a key hold: so many in all, and so many for each address. When all are held, an
 * address gets one from the address that holds the most, as long as that holds at least two more (max-min fairness): so
 * that many addresses are needed to keep others out, and not many requests.
 */
export class AddressPlaces {
  readonly #limits: PlaceLimits;
  /** The places of each address, the oldest first. */
  readonly #held = new Map<string, Set<AbortController>>();
  #size = 0;

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
  }

  take(address: string): Place | NoPlace {
    const { max, perAddressMax } = this.#limits;
    const own = this.#held.get(address) ?? new Set();
    if (own.size >= perAddressMax) return "perAddressMax";
    if (this.#size >= max && !this.#moveOne(own.size)) return "max";
    const moved = new AbortController();
    own.add(moved);
    this.#held.set(address, own);
    this.#size += 1;
    return { isMoved: moved.signal, leave: () => this.#leave(address, moved) };
  }

  /** Takes the oldest place from the address that holds the most. False: none holds enough more than the asker. */
  #moveOne(ownSize: number): boolean {
    let most: readonly [string, Set<AbortController>] | undefined;
    for (const entry of this.#held) if (entry[1].size > (most?.[1].size ?? ownSize + 1)) most = entry;
    const [oldest] = most?.[1] ?? [];
    if (most === undefined || oldest === undefined) return false;
    this.#leave(most[0], oldest);
    oldest.abort();
    return true;
  }

  #leave(address: string, place: AbortController): void {
    const own = this.#held.get(address);
    if (own?.delete(place) !== true) return;
    this.#size -= 1;
    if (own.size === 0) this.#held.delete(address);
  }
}
