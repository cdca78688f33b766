import type { Tenant } from "../../domain/account.ts";

export type PlacesOptions<Which extends string> = {
  /** The bounds, with the names by which a refusal calls them. */
  readonly environment: readonly [name: Which, max: number];
  readonly organization: readonly [name: Which, max: number];
  readonly all: readonly [name: Which, max: number];
  readonly refusal: (name: Which, max: number) => Error;
};

/**
 * Places that are held for as long as something takes, so many for an environment, for an organisation and in all. The
 * bound of all is above twice that of an organisation: two that take what they can get leave some for a third.
 */
export class Places<Which extends string> {
  readonly #options: PlacesOptions<Which>;
  readonly #taken = new Map<string, number>();

  constructor(options: PlacesOptions<Which>) {
    this.#options = options;
  }

  /** Takes a place; answers what gives it back. Throws the refusal of the narrowest bound that is reached. */
  take({ organizationId, environmentId }: Tenant): () => void {
    const { environment, organization, all, refusal } = this.#options;
    const counted = [
      [`environment ${environmentId}`, environment],
      [`organization ${organizationId}`, organization],
      ["all", all],
    ] as const;
    for (const [key, [name, max]] of counted) if (this.#count(key) >= max) throw refusal(name, max);
    for (const [key] of counted) this.#add(key, 1);
    return () => {
      for (const [key] of counted) this.#add(key, -1);
    };
  }

  #count(key: string): number {
    return this.#taken.get(key) ?? 0;
  }

  #add(key: string, change: number): void {
    const count = this.#count(key) + change;
    if (count === 0) this.#taken.delete(key);
    else this.#taken.set(key, count);
  }
}
