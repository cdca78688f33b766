import type { DescField, DescMessage, DescOneof, JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Span } from "./wire-cursor.ts";

export type MapField = Extract<DescField, { fieldKind: "map" }>;

/** The content of a frame: the fields of a message, the two of a map's entry, or those of an unknown group. */
type Shape = DescMessage | MapField | { readonly kind: "group"; readonly number: number };

/** A part that a frame may have once. */
export type Part = DescField | DescOneof | "key" | "value";

export type JsonKind = "struct" | "list" | "value";

/** A singular field of the type google.protobuf.Struct: where its content is, and the object that it stands for. */
export type StructSpan = Span & { readonly object: JsonObject };

type FrameOptions = {
  readonly shape: Shape;
  /** The offset behind the last byte; a group ends before it, by a tag. */
  readonly end: number;
  /** The kind of JSON value that the frame is or belongs to. */
  readonly json: JsonKind | undefined;
  /** Whether the JSON value is made while it is read. */
  readonly isKept: boolean;
  /** The number of JSON containers from the value's root to here. */
  readonly depth: number;
  /** The names and indexes that lead here from the outer frame; empty where JSON has no step. */
  readonly steps: readonly (string | number)[];
};

/** A message, a map's entry or an unknown group that is being read. */
export class Frame {
  readonly shape: Shape;
  readonly end: number;
  readonly json: JsonKind | undefined;
  readonly depth: number;
  steps: readonly (string | number)[];
  readonly isKept: boolean;
  /** The value that has been read from the frame, where it is kept. */
  content: JsonValue | undefined;
  /** The key of a map's entry. */
  key = "";
  // A payload has as many frames as values, and most have one part: a collection in each would cost more than all else.
  #first: Part | undefined;
  #others: Part[] | undefined;
  #counts: Map<DescField, number> | undefined;
  #keys: Map<DescField, Set<string>> | undefined;

  constructor({ shape, end, json, isKept, depth, steps }: FrameOptions) {
    this.shape = shape;
    this.end = end;
    this.json = json;
    this.depth = depth;
    this.steps = steps;
    this.isKept = isKept;
    if (isKept && shape.kind === "message") {
      this.content = json === "struct" ? {} : json === "list" ? [] : undefined;
    }
  }

  /** Adds a value to the list, gives it to the object under its key, or takes it as the value itself. */
  put(value: JsonValue, key: string): void {
    const { content } = this;
    if (Array.isArray(content)) {
      content.push(value);
    } else if (typeof content === "object" && content !== null) {
      setMember(content, key, value);
    } else {
      this.content = value;
    }
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

  /** Counts an item of a list, and answers its index. */
  nextIndex(list: DescField): number {
    this.#counts ??= new Map();
    const index = this.#counts.get(list) ?? 0;
    this.#counts.set(list, index + 1);
    return index;
  }

  /** The keys of a map that were read so far. */
  keysOf(map: DescField): Set<string> {
    this.#keys ??= new Map();
    const keys = this.#keys.get(map) ?? new Set();
    this.#keys.set(map, keys);
    return keys;
  }
}

function setMember(object: JsonObject, key: string, value: JsonValue): void {
  // Assigning this one would call the setter that each object inherits.
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    object[key] = value;
  }
}
