import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { FairQueue } from "../domain/fair-queue.ts";
import { definitionText, parseDefinition } from "../domain/json/definition-text.ts";
import { isObject } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import type { WorkflowDefinition } from "../gen/flowcall/v1/definition_pb.ts";
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
export type DefinitionCheck = Pick<PoolTask<"definition">, "path" | "signal"> & {
  readonly derivesSchema?: boolean;
  /** What the workflow's integration declares, as it is kept. Nothing is said of such fields where that is absent. */
  readonly applicationFields?: string;
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

  /** Parses a definition that is kept, when it is the turn of this path: one of a mebibyte takes some ten milliseconds. */
  async parse(text: string, path: readonly string[]): Promise<WorkflowDefinition> {
    await this.#turn(path);
    return parseDefinition(text);
  }

  /** Writes a definition as it is kept, when it is the turn of this path. */
  async write(definition: WorkflowDefinition, path: readonly string[]): Promise<string> {
    await this.#turn(path);
    return definitionText(definition);
  }

  /**
   * Finds all that is wrong with a definition, given as the JSON text that is kept. A large one is not even parsed by this
   * thread. Throws RequestError where that takes too long, or too many wait.
   */
  async check(text: string, { derivesSchema = false, applicationFields, ...call }: DefinitionCheck): Promise<Findings> {
    const { limits, pool } = this.#options;
    if (!derivesSchema && text.length <= inlineCharsMax) {
      const definition = await this.parse(text, call.path);
      if (isSmall(definition)) return compileGraph(definition, limits, workflowContextOf(applicationFields));
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

  /** Refuses with WORKFLOW_INVALID, and all problems, a definition that cannot run; gives what its author should know. */
  async requireRunnable(
    text: string,
    { workflowId, ...check }: DefinitionCheck & { readonly workflowId: string },
  ): Promise<readonly WorkflowProblem[]> {
    const { errors, warnings } = await this.check(text, check);
    if (errors.length > 0) throw workflowInvalid(workflowId, errors);
    return warnings;
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

/** Whether the check of a short definition in this thread takes a few milliseconds at the most. */
function isSmall({ nodes }: WorkflowDefinition): boolean {
  if (nodes.some((node) => payloadSchemaOf(node) !== undefined)) return false;
  // A regular expression begins with a slash, and compiling it takes long.
  return nodes.every(
    ({ kind }) => kind.case !== "transform" || (mayBeCheap(kind.value.query) && !kind.value.query.includes("/")),
  );
}

function workflowInvalid(workflowId: string, errors: readonly WorkflowProblem[]): RequestError {
  const [first] = errors;
  const isMore = errors.some(({ reason }) => reason === "TOO_MANY_PROBLEMS");
  const count = isMore ? errors.length - 1 : errors.length;
  const node = first?.nodeId === undefined ? "" : `node ${first.nodeId}, `;
  return new RequestError(
    "WORKFLOW_INVALID",
    `The definition cannot run: ${isMore ? "more than " : ""}${count} ${count === 1 ? "problem" : "problems"}, the first: ` +
      `${node}${first?.field}: ${first?.message}`,
    { problems: errors, metadata: { workflow_id: workflowId, problems: String(count) } },
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
