import { fromJsonString } from "@bufbuild/protobuf";
import type { Account } from "../../domain/account.ts";
import type { Limits } from "../../domain/limits.ts";
import { LruMap } from "../../domain/lru-map.ts";
import type { Definitions } from "../../engine/definitions.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";

/** Memory of a compiled version per character of its definition: measured from 22 (templates) to 119 (short JSONata). */
const compiledBytesPerChar = 120;

type Cached = { readonly graph: Promise<Graph>; bytes: number };

export type VersionCacheOptions = {
  readonly workflows: Pick<WorkflowStore, "loadVersion">;
  readonly definitions: Pick<Definitions, "load">;
  readonly limits: Limits;
};

export type VersionOwner = Pick<Account, "organizationId" | "environmentId">;

/** An LRU cache of compiled versions, bounded by number and by memory. Published versions are immutable, so none goes stale. */
export class VersionCache {
  readonly #options: VersionCacheOptions;
  readonly #cached: LruMap<string, Cached>;
  #bytes = 0;

  constructor(options: VersionCacheOptions) {
    this.#options = options;
    this.#cached = new LruMap(options.limits.versionsMax, (_, { bytes }) => {
      this.#bytes -= bytes;
    });
  }

  get(owner: VersionOwner, workflowId: string, version: number): Promise<Graph> {
    const key = `${owner.environmentId}/${workflowId}/${version}`;
    const cached = this.#cached.get(key);
    if (cached !== undefined) return cached.graph;
    const text = this.#read(owner, workflowId, version);
    const graph = text.then((definition) => this.#compile(owner, definition));
    const added: Cached = { graph, bytes: 0 };
    this.#cached.set(key, added);
    text.then(({ length }) => this.#limit(key, added, length * compiledBytesPerChar)).catch(() => undefined);
    graph.catch(() => this.#drop(key, added));
    return graph;
  }

  async #read({ organizationId, environmentId }: VersionOwner, workflowId: string, version: number): Promise<string> {
    const text = await this.#options.workflows.loadVersion({ organizationId, environmentId, workflowId, version });
    if (text === undefined) throw new Error(`version ${version} of workflow ${workflowId} is gone`);
    return text;
  }

  #compile({ organizationId, environmentId }: VersionOwner, definition: string): Promise<Graph> {
    const parse = () => fromJsonString(WorkflowDefinitionSchema, definition);
    return this.#options.definitions.load(parse, [organizationId, environmentId]);
  }

  #limit(key: string, cached: Cached, bytes: number): void {
    if (this.#cached.peek(key) !== cached) return;
    cached.bytes = bytes;
    this.#bytes += bytes;
    for (const [leastUsed, other] of this.#cached.entries()) {
      // The version in use stays, however large it is: its run has it in memory anyway.
      if (other === cached || this.#bytes <= this.#options.limits.versionsBytesMax) return;
      this.#drop(leastUsed, other);
    }
  }

  #drop(key: string, cached: Cached): void {
    if (this.#cached.peek(key) !== cached) return;
    this.#cached.delete(key);
    this.#bytes -= cached.bytes;
  }
}
