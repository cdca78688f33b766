import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import type { ExecutionType, NodeRun, Outcome } from "../../src/domain/execution.ts";
import { parseFields } from "../../src/domain/json/fields.ts";
import { defaultLimits, type Limits } from "../../src/domain/limits.ts";
import { compileGraph } from "../../src/engine/compile/compile-graph.ts";
import { answerAmong } from "../../src/engine/graph/recorded-answer.ts";
import { parseEgressAllow } from "../../src/engine/http/egress-allow-list.ts";
import { HttpClient } from "../../src/engine/http/http-client.ts";
import type { Children } from "../../src/engine/journal/children.ts";
import type { Journal } from "../../src/engine/journal/journal.ts";
import type { Run } from "../../src/engine/run/run.ts";
import { runGraph } from "../../src/engine/run/run-graph.ts";
import { WorkflowDefinitionSchema } from "../../src/gen/flowcall/v1/definition_pb.ts";
import { computeOf } from "../support/pool.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryJournal } from "./memory-journal.ts";

export type NodeJson = JsonObject & { readonly id: string };

export const start: NodeJson = { id: "start", start: { api_call: {} } };

/** An edge written as `a > b` or `rule true > b`. */
export function edge(text: string): JsonObject {
  const [from = "", target = ""] = text.split(" > ");
  const [source = "", port] = from.split(" ");
  return { source, target, ...(port !== undefined && { port }) };
}

export function compile(
  nodes: readonly NodeJson[],
  edges: readonly string[],
  { limits, onFailure, recordInputs, fields, applicationFields }: CompileOptions = {},
) {
  const definition = fromJson(WorkflowDefinitionSchema, {
    nodes: [...nodes],
    edges: edges.map(edge),
    ...(onFailure && { on_failure: onFailure }),
    ...(recordInputs && { record_inputs: recordInputs }),
    ...(fields && { fields: [...fields] }),
  });
  return compileGraph(
    definition,
    { ...defaultLimits, ...limits },
    applicationFields && { applicationFields: parseFields(JSON.stringify(applicationFields)) },
  );
}

export type CompileOptions = Pick<RunOptions, "limits" | "onFailure" | "recordInputs"> & {
  /** What the workflow declares, and what its integration does. */
  readonly fields?: readonly JsonObject[];
  readonly applicationFields?: readonly JsonObject[];
};

/** An environment without variables. */
export const noVariables: Run["variables"] = { read: async () => new Map() };

/** An account without connections. */
export const noConnections: Run["connections"] = {
  open: async (slug = "asana") => ({ slug, accountId: "john@acme.io", api: undefined, credentials: undefined }),
};

export type RunOptions = {
  readonly onFailure?: "STOP_BRANCHES" | "FINISH_BRANCHES";
  readonly recordInputs?: "ON_FAILURE" | "ALWAYS" | "NEVER";
  readonly body?: JsonObject;
  readonly headers?: Record<string, string>;
  readonly type?: ExecutionType;
  readonly limits?: Partial<Limits>;
  readonly earlier?: readonly NodeRun[];
  readonly client?: Run["http"];
  readonly connections?: Run["connections"];
  readonly variables?: Run["variables"];
  readonly yielder?: Run["yielder"];
  readonly beforeEffect?: Journal["beforeEffect"];
  readonly children?: Children;
  readonly values?: Partial<Pick<Run, "linkedAccount" | "workflowFields" | "applicationFields">>;
};

/** A run that a test can steer while it goes on. */
export function begin(nodes: readonly NodeJson[], edges: readonly string[], options: RunOptions = {}) {
  const limits = { ...defaultLimits, ...options.limits };
  const { graph, errors } = compile(nodes, edges, options);
  if (graph === undefined) {
    throw new Error(errors.map(({ nodeId, field, message }) => `${nodeId} ${field}: ${message}`).join("\n"));
  }
  const clock = new ManualClock();
  const journal = new MemoryJournal(clock, options.earlier, limits.recordsBytesMax);
  if (options.beforeEffect !== undefined) {
    journal.beforeEffect = options.beforeEffect;
  }
  const stop = new AbortController();
  const { pool, yielder } = { ...computeOf(limits), ...options };
  const outcome = runGraph(graph, {
    pool,
    yielder,
    executionId: "0123456789abcdef01234567",
    organizationId: "organization",
    environmentId: "76543210fedcba9876543210",
    connections: options.connections ?? noConnections,
    variables: options.variables ?? noVariables,
    http: options.client ?? new HttpClient({ allow: parseEgressAllow("") }),
    type: options.type ?? "ASYNC",
    event: { body: options.body ?? {}, headers: options.headers ?? {} },
    linkedAccount: {},
    workflowFields: {},
    applicationFields: {},
    ...options.values,
    ...(options.children && { children: options.children }),
    limits,
    clock,
    journal,
    answer: answerAmong(graph, options.earlier ?? []),
    signal: stop.signal,
  });
  return { outcome, clock, journal, stop };
}

export type Ended = {
  readonly outcome: Outcome;
  /** The response as a value. */
  readonly response: JsonValue | undefined;
  readonly records: readonly NodeRun[];
  /** The state of each path that was recorded. */
  readonly states: Readonly<Record<string, string>>;
};

/** Runs to the end. The clock stands still, so nothing in it may wait. */
export async function run(nodes: readonly NodeJson[], edges: readonly string[], options?: RunOptions): Promise<Ended> {
  const { outcome, journal } = begin(nodes, edges, options);
  return ended(await outcome, journal);
}

export function ended(outcome: Outcome, journal: MemoryJournal): Ended {
  return {
    outcome,
    response: outcome.response === undefined ? undefined : (JSON.parse(outcome.response) as JsonValue),
    records: journal.records,
    states: Object.fromEntries(journal.records.map((record) => [record.path, record.state])),
  };
}

/** Lets all that can go on without the clock go on. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
