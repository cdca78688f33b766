import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { FairQueue } from "../domain/collections/fair-queue.ts";
import type { EventLoopYielder } from "../domain/event-loop-yielder.ts";
import { definitionText, parseDefinition } from "../domain/json/definition-text.ts";
import { isObject } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import { RequestError } from "../domain/request-error.ts";
import type { WorkflowDefinition } from "../gen/flowcall/v1/definition_pb.ts";
import { type WorkflowProblem, WorkflowProblemSchema } from "../gen/flowcall/v1/workflow_pb.ts";
import { compileGraph, loadGraph, workflowContextOf } from "./compile/compile-graph.ts";
import type { Graph } from "./graph/graph.ts";
import type { PoolTask } from "./pool/pool-task.ts";
import type { ProcessPool } from "./pool/process-pool.ts";
import { mayBeCheap } from "./query/syntax/cheap-query.ts";
import { payloadSchemaOf } from "./schema/payload-schema.ts";

// The entry point of the engine for definitions: checks what authors write, and loads what calls run, without blocking the thread.
//
// The rest of the engine is in folders, lowest first: values/ errors/ regex/ http/ journal/ comparison/ templates/ pool/ schema/ rules/
// query/ secrets/ nodes/ graph/, then compile/ (a definition to a graph) and run/ (a graph to an outcome), which know nothing of each
// other, seeds/ (journals to start from) and child/ (the process that the pool starts). A folder imports only those before it.
// The engine knows no database, and no network but its own guarded HTTP client.

/** Larger definitions are checked in a child process. */
const inlineCharsMax = 4 * 1024;

/** The result of a check for the author of a definition. */
export type Findings = {
  readonly errors: readonly WorkflowProblem[];
  readonly warnings: readonly WorkflowProblem[];
  /** The schema that was derived from the sample, if it was requested and there is a sample. */
  readonly derivedSchema?: JsonObject;
};

/** Options of a check. */
export type DefinitionCheck = Pick<PoolTask<"definition">, "path" | "signal"> & {
  readonly derivesSchema?: boolean;
  /** The JSON of the fields that the workflow's integration declares. Without it, templates that read them are not checked. */
  readonly applicationFields?: string;
};

export type DefinitionsOptions = {
  readonly limits: Limits;
  readonly pool: Pick<ProcessPool, "run">;
  readonly yielder: EventLoopYielder;
};

/** Checks and loads definitions, in time slices or in child processes. */
export class Definitions {
  readonly #options: DefinitionsOptions;
  readonly #waiting = new FairQueue<() => void>();
  #isLoading = false;

  constructor(options: DefinitionsOptions) {
    this.#options = options;
  }

  /** Parses a stored definition in a time slice of this path: one of a mebibyte takes about ten milliseconds. */
  async parse(text: string, path: readonly string[]): Promise<WorkflowDefinition> {
    await this.#yieldIfOver(path);
    return parseDefinition(text);
  }

  /** Serialises a definition for storage, in a time slice of this path. */
  async write(definition: WorkflowDefinition, path: readonly string[]): Promise<string> {
    await this.#yieldIfOver(path);
    return definitionText(definition);
  }

  /**
   * Finds every problem of a definition, given as the JSON that is stored. A large one is not even parsed on this thread. Throws
   * RequestError where that takes too long, or too many checks wait.
   */
  async check(text: string, { derivesSchema = false, applicationFields, ...call }: DefinitionCheck): Promise<Findings> {
    const { limits, pool } = this.#options;
    if (!derivesSchema && text.length <= inlineCharsMax) {
      const definition = await this.parse(text, call.path);
      if (isSmall(definition)) {
        return compileGraph(definition, limits, workflowContextOf(applicationFields));
      }
    }
    const texts = [text, ...(applicationFields === undefined ? [] : [applicationFields])];
    const request = () => ({ head: { derivesSchema }, texts });
    const end = await pool.run("definition", { ...call, request, isRefusable: true });
    if (end.kind !== "reply") {
      throw tooMuchToCheck(limits);
    }
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
    if (errors.length > 0) {
      throw workflowInvalid(workflowId, errors);
    }
    return warnings;
  }

  /**
   * Compiles a published definition, one at a time and in time slices. Throws where it does not compile.
   *
   * @param definition called when its turn comes
   * @param path `[organizationId, environmentId]`: yielder are shared fairly between them
   */
  async load(definition: () => WorkflowDefinition, path: readonly string[]): Promise<Graph> {
    const { limits } = this.#options;
    if (this.#isLoading) {
      await new Promise<void>((resolve) => this.#waiting.push(path, resolve));
    }
    this.#isLoading = true;
    try {
      await this.#yieldIfOver(path);
      const { graph, errors } = await loadGraph(definition(), limits, () => this.#yieldIfOver(path));
      if (graph === undefined) {
        throw new Error(`a definition does not compile: ${errors[0]?.message}`);
      }
      return graph;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#isLoading = false;
      } else {
        next();
      }
    }
  }

  #yieldIfOver(path: readonly string[]): Promise<void> | undefined {
    const { yielder } = this.#options;
    return yielder.yieldIfOver(path);
  }
}

/** Whether the check of a short definition on the thread takes a few milliseconds at most. */
function isSmall({ nodes }: WorkflowDefinition): boolean {
  if (nodes.some((node) => payloadSchemaOf(node) !== undefined)) {
    return false;
  }
  // A slash may start a regular expression, which takes long to compile.
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
    `To check the definition takes more than ${queryMs} ms (limit queryMs) or ${childHeapMib} MiB of memory (limit childHeapMib). ` +
    "Make its queries, patterns and schemas simpler.";
  return new RequestError("WORKFLOW_INVALID", message, {
    metadata: { limit: "query_ms", max: String(queryMs), memory_mib: String(childHeapMib) },
  });
}
