import { fromJson, type JsonObject, toJsonString } from "@bufbuild/protobuf";
import { FairQueue } from "../domain/fair-queue.ts";
import { isObject } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../gen/flowcall/v1/definition_pb.ts";
import { type WorkflowProblem, WorkflowProblemSchema } from "../gen/flowcall/v1/workflow_pb.ts";
import { compileGraph, loadGraph, workflowContextOf } from "./compile/compile-graph.ts";
import type { Graph } from "./graph/graph.ts";
import type { PoolTask, ProcessPool } from "./pool/process-pool.ts";
import { mayBeCheap } from "./query/syntax/cheap-query.ts";
import type { Turns } from "./run/yield-to-event-loop.ts";
import { payloadSchemaOf } from "./schema/payload-schema.ts";

/** Larger definitions are checked in a child process. */
const inlineCharsMax = 4 * 1024;

/** What is wrong with a definition, and what its author should know. */
export type Findings = {
  readonly errors: readonly WorkflowProblem[];
  readonly warnings: readonly WorkflowProblem[];
  /** What the sample keeps, where it was asked for and there is one. */
  readonly derivedSchema?: JsonObject;
};

/** Who asks, and what for. */
type DefinitionCheck = Pick<PoolTask<"definition">, "path" | "signal"> & {
  readonly derivesSchema?: boolean;
  /** What the workflow's integration declares, as it is kept. Nothing is said of such fields where that is absent. */
  readonly applicationFields?: string;
  /** The definition's JSON, where it is at hand. */
  readonly text?: string;
};

export type DefinitionsOptions = {
  readonly limits: Limits;
  readonly pool: Pick<ProcessPool, "run">;
  readonly turns: Turns;
};

/** Checks what authors write and loads what calls run, without holding the thread for long. */
export class Definitions {
  readonly #options: DefinitionsOptions;
  readonly #waiting = new FairQueue<() => void>();
  #isLoading = false;

  constructor(options: DefinitionsOptions) {
    this.#options = options;
  }

  /** Tells all that is wrong with a definition. Throws RequestError where that takes too long, or too many wait. */
  async check(
    definition: WorkflowDefinition,
    { derivesSchema = false, applicationFields, text: known, ...call }: DefinitionCheck,
  ): Promise<Findings> {
    const { limits, pool } = this.#options;
    if (known === undefined) await this.#turn(call.path);
    const text = known ?? toJsonString(WorkflowDefinitionSchema, definition);
    if (!derivesSchema && isSmall(definition, text)) {
      return compileGraph(definition, limits, workflowContextOf(applicationFields));
    }
    const texts = [text, ...(applicationFields === undefined ? [] : [applicationFields])];
    const request = () => ({ head: { derivesSchema }, texts });
    const end = await pool.run("definition", { ...call, request, isRefusable: true });
    if (end.kind !== "reply") throw tooMuchToCheck(limits);
    const { head, texts: derivedTexts } = end;
    const problemsOf = (list: typeof head.errors) => list.map((json) => fromJson(WorkflowProblemSchema, json));
    const derived = derivedTexts[0] === undefined ? undefined : JSON.parse(derivedTexts[0]);
    return {
      errors: problemsOf(head.errors),
      warnings: problemsOf(head.warnings),
      ...(isObject(derived) && { derivedSchema: derived }),
    };
  }

  /**
   * Compiles a definition that was checked, one at a time and a few milliseconds in each turn. Throws where it does not
   * compile.
   *
   * @param definition asked for when it is its turn
   * @param path whose turn it is: `[organizationId, environmentId]`
   */
  async load(definition: () => WorkflowDefinition, path: readonly string[]): Promise<Graph> {
    const { limits } = this.#options;
    if (this.#isLoading) await new Promise<void>((resolve) => this.#waiting.push(path, resolve));
    this.#isLoading = true;
    try {
      await this.#turn(path);
      const { graph, errors } = await loadGraph(definition(), limits, () => this.#turn(path));
      if (graph === undefined) throw new Error(`a definition does not compile: ${errors[0]?.message}`);
      return graph;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#isLoading = false;
      else next();
    }
  }

  #turn(path: readonly string[]): Promise<void> | undefined {
    const { turns } = this.#options;
    return turns.take(path);
  }
}

/** Whether a check in line takes a few milliseconds at the most. */
function isSmall({ nodes }: WorkflowDefinition, text: string): boolean {
  if (text.length > inlineCharsMax || nodes.some((node) => payloadSchemaOf(node) !== undefined)) return false;
  // A regular expression begins with a slash, and compiling it takes long.
  return nodes.every(
    ({ kind }) => kind.case !== "transform" || (mayBeCheap(kind.value.query) && !kind.value.query.includes("/")),
  );
}

function tooMuchToCheck({ queryMs, childHeapMib }: Limits): RequestError {
  const message =
    `The definition takes more than ${queryMs} ms (limit queryMs) or ${childHeapMib} MiB of memory (limit childHeapMib) ` +
    "to check. Make its queries, patterns and schemas simpler.";
  return new RequestError("WORKFLOW_INVALID", message, {
    metadata: { limit: "query_ms", max: String(queryMs), memory_mib: String(childHeapMib) },
  });
}
