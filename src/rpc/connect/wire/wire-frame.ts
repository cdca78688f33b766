import type { DescField, DescMessage, DescOneof } from "@bufbuild/protobuf";

export type MapField = Extract<DescField, { fieldKind: "map" }>;

/** What a frame holds: the fields of a message, the two of a map's entry, or those of an unknown group. */
type Shape = DescMessage | MapField | { readonly kind: "group"; readonly number: number };

/** What may be given once in a frame. */
export type Part = DescField | DescOneof | "key" | "value";

export type JsonKind = "struct" | "list" | "value";

type FrameOptions = {
  readonly shape: Shape;
  /** The offset behind the last byte; a group ends by a tag instead, somewhere before. */
  readonly end: number;
  /** What kind of JSON value the frame is, or is the entry of. */
  readonly json: JsonKind | undefined;
  /** The JSON containers from the value's root to here. */
  readonly depth: number;
  /** Leads here from the frame around, as names and indexes; none where JSON has no step. */
  readonly steps: readonly (string | number)[];
};

/** A message, a map's entry or an unknown group that is not read to its end. */
export class Frame {
  readonly shape: Shape;
  readonly end: number;
  readonly json: JsonKind | undefined;
  readonly depth: number;
  steps: readonly (string | number)[];
  // There are as many frames as values in a payload, most with one part; a collection in each would cost more than all else.
  #first: Part | undefined;
  #others: Part[] | undefined;
  #counts: Map<DescField, number> | undefined;
  #keys: Map<DescField, Set<string>> | undefined;

  constructor({ shape, end, json, depth, steps }: FrameOptions) {
    this.shape = shape;
    this.end = end;
    this.json = json;
    this.depth = depth;
    this.steps = steps;
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  has(part: Part): boolean {
    return this.#first === part || (this.#others?.includes(part) ?? false);
  }

  give(part: Part): void {
    if (this.#first === undefined) {
      this.#first = part;
    } else {
      this.#others ??= [];
      this.#others.push(part);
    }
  }

  /** Counts an item of a list; answers its index. */
  nextIndex(list: DescField): number {
    this.#counts ??= new Map();
    const index = this.#counts.get(list) ?? 0;
    this.#counts.set(list, index + 1);
    return index;
  }

  /** The keys of a map so far. */
  keysOf(map: DescField): Set<string> {
    this.#keys ??= new Map();
    const keys = this.#keys.get(map) ?? new Set();
    this.#keys.set(map, keys);
    return keys;
  }
}
