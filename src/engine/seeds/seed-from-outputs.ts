import type { JsonValue } from "@bufbuild/protobuf";
import type { NodeRun } from "../../domain/execution.ts";
import { checkJson } from "../../domain/json/json-check.ts";
import { isObject } from "../../domain/json/violations.ts";
import type { Limits } from "../../domain/limits.ts";
import { type FieldViolation, RequestError } from "../../domain/request-error.ts";
import type { Graph, GraphNode, Port } from "../graph/graph.ts";
import { nodeAt } from "./seed-from-retry.ts";

/** Outputs that replace the run of nodes, by the nodes' paths. */
export type GivenOutputs = Readonly<Record<string, JsonValue>>;

/** The journal seed with these outputs. Throws RequestError with a violation for each output that no node can have. */
export function givenSeed(graph: Graph, outputs: GivenOutputs, { limits, now }: { limits: Limits; now: number }) {
  const violations: FieldViolation[] = [];
  const runs = Object.entries(outputs).flatMap(([path, output]): readonly NodeRun[] => {
    const field = `outputs[${JSON.stringify(path)}]`;
    const node = nodeAt(graph, path);
    const problem = node === undefined ? "names no node that would run" : problemOf(node, output);
    if (problem !== undefined) {
      violations.push({ field, description: problem, rule: "outputs" });
    }
    if (node === undefined || problem !== undefined) {
      return [];
    }
    const text = checkJson(output, { name: field, limits: limits.output });
    const port = portOf(node, output);
    return [{ ...seededRun(path, node, now), output: text, ...(port !== undefined && { port }) }];
  });
  refuseAny(violations);
  return runs;
}

export type RecordedOptions = {
  /** The nodes whose records are taken; all nodes if it is empty. */
  readonly nodeIds: readonly string[];
  /** The paths whose outputs the caller gives. */
  readonly given: ReadonlySet<string>;
  readonly now: number;
};

/**
 * The journal seed with the outputs that an earlier execution recorded, for the leaves and Groups of this graph. A node with a
 * hidden output runs, unless it is named: then this throws RequestError, because no execution keeps such an output.
 */
export function recordedSeed(graph: Graph, runs: readonly NodeRun[], { nodeIds, given, now }: RecordedOptions) {
  const hidden = new Set<string>();
  const seed = runs.flatMap((run): readonly NodeRun[] => {
    const { path, node_id, state, output, is_hidden = false } = run;
    const node = nodeAt(graph, path);
    const isSelected = nodeIds.length === 0 || nodeIds.includes(node_id);
    if (node === undefined || state !== "SUCCESS" || !isSelected || given.has(path)) {
      return [];
    }
    if (is_hidden || node.isHidden) {
      hidden.add(node_id);
    }
    if (output === undefined || is_hidden || node.isHidden) {
      return [];
    }
    return isReplaceable(node) && !choosesPort(node) ? [{ ...seededRun(path, node, now), output }] : [];
  });
  const named = [...nodeIds.entries()].filter(([, id]) => hidden.has(id));
  refuseAny(
    named.map(([index, id]) => ({
      field: `outputs_of.node_ids[${index}]`,
      description:
        `names the node ${id}, which hides its output, so that no execution keeps it: give it in outputs, or leave ` +
        "the node out, and it runs",
      rule: "outputs_of",
    })),
  );
  return seed;
}

function refuseAny(violations: readonly FieldViolation[]): void {
  if (violations.length === 0) {
    return;
  }
  const message = violations.map(({ field, description }) => `${field} ${description}.`).join(" ");
  throw new RequestError("VALIDATION_ERROR", message, { violations });
}

function problemOf(node: GraphNode, output: JsonValue): string | undefined {
  if (!isReplaceable(node)) {
    return `belongs to a ${node.step.kind} node, which has to run`;
  }
  if (!choosesPort(node) || portOf(node, output) !== undefined) {
    return undefined;
  }
  return node.step.kind === "rule"
    ? 'belongs to a rule, so it must be {"satisfied": true} or {"satisfied": false}'
    : 'belongs to a switch, so it must be an object whose "matched_case" is null, or has the "port" of one of its cases';
}

function isReplaceable({ step: { kind } }: GraphNode): boolean {
  return kind !== "start" && kind !== "response" && kind !== "terminate";
}

/** Whether the output says by which port the branch leaves. */
function choosesPort({ step: { kind } }: GraphNode): boolean {
  return kind === "rule" || kind === "switch";
}

/** The port that an output stands for. Undefined where the node has one port, or where none of its outputs is such. */
function portOf({ step }: GraphNode, output: JsonValue): Port | undefined {
  const { satisfied, matched_case: matched } = isObject(output) ? output : {};
  if (step.kind === "rule") {
    return typeof satisfied === "boolean" ? String(satisfied) : undefined;
  }
  if (step.kind !== "switch" || matched === null) {
    return step.kind === "switch" ? "default" : undefined;
  }
  const port = isObject(matched) ? matched["port"] : undefined;
  return step.cases.find((one) => one.port === port)?.port;
}

function seededRun(path: string, { id, isHidden }: GraphNode, now: number) {
  const notes = ["The output was given, and the node did not run."];
  const run = { path, node_id: id, state: "SUCCESS" as const, attempts: 0, start_time: now, end_time: now, notes };
  return isHidden ? { ...run, is_hidden: true } : run;
}
