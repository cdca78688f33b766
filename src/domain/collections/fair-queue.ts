/** One level of the queue. The Map's order is the order of turns. */
type Level<Item> = { readonly below: Map<string, Level<Item>>; readonly items: Item[] };

/**
 * A fair queue: round-robin over organisations, then over the environments of each, then over the further keys of the
 * path. A tenant with many items delays only itself. Items of one path keep their order.
 */
export class FairQueue<Item> {
  readonly #root: Level<Item> = newLevel();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param path the keys from the widest to the narrowest, as `[organizationId, environmentId]` */
  push(path: readonly string[], item: Item): void {
    let level = this.#root;
    for (const key of path) {
      const next = level.below.get(key) ?? newLevel();
      level.below.set(key, next);
      level = next;
    }
    level.items.push(item);
    this.#size += 1;
  }

  /** The keys of the widest level, in the order of their turns. */
  get tops(): MapIterator<string> {
    return this.#root.below.keys();
  }

  /**
   * Takes the next item, and moves each key of its path to the end of its level.
   * @param isPassed skips keys of the widest level, which keep their turn
   */
  shift(isPassed?: (top: string) => boolean): Item | undefined {
    const taken = takeFrom(this.#root, isPassed);
    if (taken !== undefined) {
      this.#size -= 1;
    }
    return taken?.item;
  }

  /** Takes all items, in the order of their turns. */
  drain(): readonly Item[] {
    const items: Item[] = [];
    for (let item = this.shift(); item !== undefined; item = this.shift()) {
      items.push(item);
    }
    return items;
  }

  /** Removes an item. Answers false if it is not in the queue. */
  delete(path: readonly string[], item: Item): boolean {
    const isDeleted = deleteFrom(this.#root, path, item);
    if (isDeleted) {
      this.#size -= 1;
    }
    return isDeleted;
  }
}

function newLevel<Item>(): Level<Item> {
  return { below: new Map(), items: [] };
}

function isEmpty({ below, items }: Level<unknown>): boolean {
  return below.size === 0 && items.length === 0;
}

/** Items of a level itself come before those of the levels below. */
function takeFrom<Item>(level: Level<Item>, isPassed?: (key: string) => boolean): { readonly item: Item } | undefined {
  if (level.items.length > 0) {
    return { item: level.items.shift() as Item };
  }
  for (const [key, next] of level.below) {
    if (isPassed?.(key) === true) {
      continue;
    }
    const taken = takeFrom(next);
    // A Map keeps insertion order, so a key that is set again becomes the last.
    level.below.delete(key);
    if (!isEmpty(next)) {
      level.below.set(key, next);
    }
    return taken;
  }
  return undefined;
}

function deleteFrom<Item>(level: Level<Item>, [key, ...rest]: readonly string[], item: Item): boolean {
  if (key === undefined) {
    const place = level.items.indexOf(item);
    if (place < 0) {
      return false;
    }
    level.items.splice(place, 1);
    return true;
  }
  const next = level.below.get(key);
  if (next === undefined || !deleteFrom(next, rest, item)) {
    return false;
  }
  if (isEmpty(next)) {
    level.below.delete(key);
  }
  return true;
}
