import { fromJsonString } from "@bufbuild/protobuf";
import type { Limits } from "../domain/limits.ts";
import { compileGraph } from "../engine/compile-graph.ts";
import type { Graph } from "../engine/graph.ts";
import { WorkflowDefinitionSchema } from "../gen/flowcall/v1/definition_pb.ts";
import type { WorkflowStore } from "../storage/workflow-store.ts";

/** Published versions, compiled once. A version never changes, so none goes stale; the longest unused leave first. */
export class VersionCache {
  readonly #workflows: WorkflowStore;
  readonly #limits: Limits;
  readonly #graphs = new Map<string, Promise<Graph>>();

  constructor({ workflows, limits }: { workflows: WorkflowStore; limits: Limits }) {
    this.#workflows = workflows;
    this.#limits = limits;
  }

  get(environmentId: string, workflowId: string, version: number): Promise<Graph> {
    const key = `${environmentId}/${workflowId}/${version}`;
    const graph = this.#graphs.get(key) ?? this.#compile(environmentId, workflowId, version);
    // Set anew on each use: a Map keeps the order of insertion, and so the longest unused stands first.
    this.#graphs.delete(key);
    this.#graphs.set(key, graph);
    graph.catch(() => this.#graphs.delete(key));
    const [longestUnused] = this.#graphs.keys();
    if (this.#graphs.size > this.#limits.versionsMax && longestUnused !== undefined) this.#graphs.delete(longestUnused);
    return graph;
  }

  async #compile(environmentId: string, workflowId: string, version: number): Promise<Graph> {
    const text = await this.#workflows.getVersion(environmentId, workflowId, version);
    if (text === undefined) throw new Error(`version ${version} of workflow ${workflowId} is gone`);
    const { graph, errors } = compileGraph(fromJsonString(WorkflowDefinitionSchema, text), this.#limits);
    if (graph === undefined) {
      throw new Error(`version ${version} of workflow ${workflowId} does not compile: ${errors[0]?.message}`);
    }
    return graph;
  }
}
