import type { Account } from "../../domain/account.ts";
import { LruMap } from "../../domain/collections/lru-map.ts";
import { readMessage } from "../../domain/json/json-structs.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Definitions } from "../../engine/definitions.ts";
import { type DefinitionOutline, outlineOf } from "../../engine/graph/definition-outline.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import type { VersionStore } from "../../storage/workflows/version-store.ts";

/** Memory of a compiled version per character of its definition: measured from 22 (templates) to 119 (short JSONata). */
const compiledBytesPerChar = 120;

/** How many bytes the outline of a version takes for each character, where nodes have little but an id. */
const outlineBytesPerChar = 10;

/** The cached parts of a version. */
type Entry = { graph?: Promise<Graph>; outline?: Promise<DefinitionOutline>; bytes: number };

export type VersionCacheOptions = {
  readonly versions: Pick<VersionStore, "load">;
  readonly definitions: Pick<Definitions, "load" | "parse">;
  readonly limits: Limits;
};

export type VersionOwner = Pick<Account, "organizationId" | "environmentId">;

/**
 * An LRU cache of published versions, each compiled once. A version never changes, so no entry goes stale. The least recently
 * used leave first, where there are too many or where they take too much memory.
 */
export class VersionCache {
  readonly #options: VersionCacheOptions;
  readonly #entries: LruMap<string, Entry>;
  #bytes = 0;

  constructor(options: VersionCacheOptions) {
    this.#options = options;
    this.#entries = new LruMap(options.limits.versionsMax, (_, { bytes }) => {
      this.#bytes -= bytes;
    });
  }

  /** A version as it runs. Rejects where it does not compile. */
  get(owner: VersionOwner, workflowId: string, version: number): Promise<Graph> {
    const key = keyOf(owner, workflowId, version);
    const entry = this.#use(key);
    if (entry.graph !== undefined) {
      return entry.graph;
    }
    const text = this.#read(owner, workflowId, version);
    const graph = text.then((definition) => this.#compile(owner, definition, entry));
    entry.graph = graph;
    text.then(({ length }) => this.#weigh(key, entry, length * compiledBytesPerChar)).catch(() => undefined);
    graph.catch(() => this.#drop(key, entry));
    return graph;
  }

  /** The nodes of a version as they are shown, whether it still compiles or not; empty where there is no such version. */
  outline(owner: VersionOwner, workflowId: string, version: number): Promise<DefinitionOutline> {
    const key = keyOf(owner, workflowId, version);
    const entry = this.#use(key);
    if (entry.outline !== undefined) {
      return entry.outline;
    }
    const { versions, definitions } = this.#options;
    const { organizationId, environmentId } = owner;
    const text = versions.load({ organizationId, environmentId, workflowId, version }).then((found = "{}") => found);
    const outline = text.then((found) => definitions.parse(found, pathOf(owner))).then(outlineOf);
    entry.outline = outline;
    text.then(({ length }) => this.#weigh(key, entry, length * outlineBytesPerChar)).catch(() => undefined);
    outline.catch(() => this.#drop(key, entry));
    return outline;
  }

  /** The entry of a key, made where there is none. */
  #use(key: string): Entry {
    const found = this.#entries.get(key);
    if (found !== undefined) {
      return found;
    }
    const entry: Entry = { bytes: 0 };
    this.#entries.set(key, entry);
    return entry;
  }

  async #read({ organizationId, environmentId }: VersionOwner, workflowId: string, version: number): Promise<string> {
    const text = await this.#options.versions.load({ organizationId, environmentId, workflowId, version });
    if (text === undefined) {
      throw new Error(`version ${version} of workflow ${workflowId} is gone`);
    }
    return text;
  }

  #compile(owner: VersionOwner, text: string, entry: Entry): Promise<Graph> {
    const parse = () => {
      const definition = readMessage(WorkflowDefinitionSchema, JSON.parse(text));
      entry.outline ??= Promise.resolve(outlineOf(definition));
      return definition;
    };
    return this.#options.definitions.load(parse, pathOf(owner));
  }

  #weigh(key: string, entry: Entry, bytes: number): void {
    if (this.#entries.peek(key) !== entry) {
      return;
    }
    entry.bytes += bytes;
    this.#bytes += bytes;
    for (const [leastUsed, other] of this.#entries.entries()) {
      // The version in use stays, however large it is: its run has it in memory anyway.
      if (other === entry || this.#bytes <= this.#options.limits.versionsBytesMax) {
        return;
      }
      this.#drop(leastUsed, other);
    }
  }

  #drop(key: string, entry: Entry): void {
    if (this.#entries.peek(key) !== entry) {
      return;
    }
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}

function keyOf({ environmentId }: VersionOwner, workflowId: string, version: number): string {
  return `${environmentId}/${workflowId}/${version}`;
}

/** The path in the fair queue of parsing and compiling. */
function pathOf({ organizationId, environmentId }: VersionOwner): readonly [string, string] {
  return [organizationId, environmentId];
}
