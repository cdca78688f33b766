/** One level of turns: those who wait below it, in the order in which they are served. */
type Level<Item> = { readonly below: Map<string, Level<Item>>; readonly items: Item[] };

/**
 * A queue that serves by turns (round robin): first the organisations, then the environments of each, then what lies
 * below, each level a key of the path. Whoever has much waiting waits behind itself alone. Items of one path come out in
 * the order they went in.
 */
export class FairQueue<Item> {
  readonly #root: Level<Item> = newLevel();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param path who waits, from the widest to the narrowest, as `[organizationId, environmentId]` */
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

  /** Who waits, at the widest level: the one whose turn is next comes first. */
  get tops(): MapIterator<string> {
    return this.#root.below.keys();
  }

  /**
   * Takes the next item, and puts all those on its path behind their neighbours.
   * @param isPassed says of whom nothing is taken this time, at the widest level; they keep their turn
   */
  shift(isPassed?: (top: string) => boolean): Item | undefined {
    const taken = takeFrom(this.#root, isPassed);
    if (taken !== undefined) this.#size -= 1;
    return taken?.item;
  }

  /** Takes all items, in the order of their turns. */
  drain(): readonly Item[] {
    const items: Item[] = [];
    for (let item = this.shift(); item !== undefined; item = this.shift()) items.push(item);
    return items;
  }

  /** Takes an item out, wherever it waits. False: it is not there. */
  delete(path: readonly string[], item: Item): boolean {
    const isDeleted = deleteFrom(this.#root, path, item);
    if (isDeleted) this.#size -= 1;
    return isDeleted;
  }
}

function newLevel<Item>(): Level<Item> {
  return { below: new Map(), items: [] };
}

function isEmpty({ below, items }: Level<unknown>): boolean {
  return below.size === 0 && items.length === 0;
}

/** What waits at a level itself comes before what waits below it. */
function takeFrom<Item>(level: Level<Item>, isPassed?: (key: string) => boolean): { readonly item: Item } | undefined {
  if (level.items.length > 0) return { item: level.items.shift() as Item };
  for (const [key, next] of level.below) {
    if (isPassed?.(key) === true) continue;
    const taken = takeFrom(next);
    // A Map keeps the order of insertion: set anew, the key stands last.
    level.below.delete(key);
    if (!isEmpty(next)) level.below.set(key, next);
    return taken;
  }
  return undefined;
}

function deleteFrom<Item>(level: Level<Item>, [key, ...rest]: readonly string[], item: Item): boolean {
  if (key === undefined) {
    const place = level.items.indexOf(item);
    if (place < 0) return false;
    level.items.splice(place, 1);
    return true;
  }
  const next = level.below.get(key);
  if (next === undefined || !deleteFrom(next, rest, item)) return false;
  if (isEmpty(next)) level.below.delete(key);
  return true;
}
