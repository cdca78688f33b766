import type { Tenant } from "../../domain/account.ts";

export type ConcurrencyLimitOptions<Name extends string> = {
  /** The three bounds, with the names that errors call them by. */
  readonly environment: readonly [name: Name, max: number];
  readonly organization: readonly [name: Name, max: number];
  readonly all: readonly [name: Name, max: number];
  readonly errorOf: (name: Name, max: number) => Error;
};

/**
 * A counting semaphore that fails instead of waiting, with a bound for each environment, each organisation and the whole
 * process. Set the whole to more than twice an organisation's bound: two that take all they can then leave some to others.
 */
export class ConcurrencyLimit<Name extends string> {
  readonly #options: ConcurrencyLimitOptions<Name>;
  readonly #counts = new Map<string, number>();

  constructor(options: ConcurrencyLimitOptions<Name>) {
    this.#options = options;
  }

  /** Acquires one; answers the function that releases it. Throws the error of the narrowest bound that is reached. */
  acquire({ organizationId, environmentId }: Tenant): () => void {
    const { environment, organization, all, errorOf } = this.#options;
    const counted = [
      [`environment ${environmentId}`, environment],
      [`organization ${organizationId}`, organization],
      ["all", all],
    ] as const;
    for (const [key, [name, max]] of counted) {
      if (this.#count(key) >= max) {
        throw errorOf(name, max);
      }
    }
    for (const [key] of counted) {
      this.#add(key, 1);
    }
    return () => {
      for (const [key] of counted) {
        this.#add(key, -1);
      }
    };
  }

  #count(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  #add(key: string, change: number): void {
    const count = this.#count(key) + change;
    if (count === 0) {
      this.#counts.delete(key);
    } else {
      this.#counts.set(key, count);
    }
  }
}
