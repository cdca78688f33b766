export type SlotLimits = {
  readonly max: number;
  readonly perAddressMax: number;
};

/** The limit that leaves no slot free. */
export type ExhaustedLimit = keyof SlotLimits;

/** A slot in use. `revoked` aborts when the slot is taken away in favour of an address that holds fewer. */
export type Slot = { readonly revoked: AbortSignal; release(): void };

/**
 * A semaphore with max-min fairness: a number of slots in all, and for each client address. When all are in use, an
 * address takes one from the address that holds the most, as long as that one holds at least two more. To keep others
 * out, an attacker needs many addresses; many requests are not enough.
 */
export class AddressSlots {
  readonly #limits: SlotLimits;
  /** The slots of each address, the oldest first. */
  readonly #slots = new Map<string, Set<AbortController>>();
  #size = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  take(address: string): Slot | ExhaustedLimit {
    const { max, perAddressMax } = this.#limits;
    const own = this.#slots.get(address) ?? new Set();
    if (own.size >= perAddressMax) {
      return "perAddressMax";
    }
    if (this.#size >= max && !this.#revokeOne(own.size)) {
      return "max";
    }
    const slot = new AbortController();
    own.add(slot);
    this.#slots.set(address, own);
    this.#size += 1;
    return { revoked: slot.signal, release: () => this.#release(address, slot) };
  }

  /** Revokes the oldest slot of the address that holds the most. False: no address holds two more than the asking one. */
  #revokeOne(ownSize: number): boolean {
    let most: readonly [string, Set<AbortController>] | undefined;
    for (const entry of this.#slots) {
      if (entry[1].size > (most?.[1].size ?? ownSize + 1)) {
        most = entry;
      }
    }
    const [oldest] = most?.[1] ?? [];
    if (most === undefined || oldest === undefined) {
      return false;
    }
    this.#release(most[0], oldest);
    oldest.abort();
    return true;
  }

  #release(address: string, slot: AbortController): void {
    const own = this.#slots.get(address);
    if (own?.delete(slot) !== true) {
      return;
    }
    this.#size -= 1;
    if (own.size === 0) {
      this.#slots.delete(address);
    }
  }
}
