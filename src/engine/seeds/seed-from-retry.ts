import { errorPort, hasEndedBranch, type NodeRun } from "../../domain/execution.ts";
import type { Graph, GraphNode, Subgraph } from "../graph/graph.ts";

/** Chooses the records that a retry takes over from an ended run, after it has seen all of them. */
export type RetrySeed = {
  see(run: NodeRun): void;
  keeps(run: NodeRun): boolean;
};

/**
 * The journal seed for the retry of a node. It takes over the results of the ended run, except for those of the node, of all
 * nodes that it leads to, and of all nodes that a failed node leads to. Failures that ended their branch are not taken over,
 * so that what failed beside the node runs again too. The Groups around the node run again, but of their iterations only those that did not
 * succeed. Undefined where the path leads to no node of the graph.
 */
export function retrySeed(graph: Graph, path: string): RetrySeed | undefined {
  const steps = stepsOf(graph, path);
  if (steps === undefined) {
    return undefined;
  }
  const dropped = droppedRecords(steps);
  return {
    see: (run) => {
      const last = isResult(run) ? undefined : stepsOf(graph, run.path)?.at(-1);
      if (last !== undefined && hasEndedBranch(run)) {
        addFollowing(last, dropped.whole);
      }
      if (last !== undefined) {
        addRepeated(last, dropped.whole);
      }
    },
    keeps: (run) => isResult(run) && isKept(run.path, dropped),
  };
}

/** The node at a path such as `4[12]/7`: node 7 in the twelfth iteration of the Group 4, counted from 0. */
export function nodeAt(graph: Graph, path: string): GraphNode | undefined {
  return stepsOf(graph, path)?.at(-1)?.node;
}

/** A hidden output is deleted when its execution ends, so a hidden node has to run again. */
function isResult({ state, port, is_hidden }: NodeRun): boolean {
  if (is_hidden === true) {
    return false;
  }
  return state === "SUCCESS" || state === "SKIPPED" || state === "ERRORED_AND_SKIPPED" || port === errorPort;
}

type Dropped = {
  /** The paths whose own record is dropped, but not the records inside: the node's Groups and its iterations. */
  readonly alone: Set<string>;
  /** The paths that are dropped with all records inside: those of the nodes that run after the node. */
  readonly whole: Set<string>;
};

/** Waits and attempts have a `#` in their path. A seed needs none of them: their node either has a result or runs again. */
function isKept(path: string, { alone, whole }: Dropped): boolean {
  if (path.includes("#") || alone.has(path)) {
    return false;
  }
  const ends = [...path.matchAll(/[[/]/g)].map(({ index }) => index);
  return ![...ends, path.length].some((end) => whole.has(path.slice(0, end)));
}

function droppedRecords(steps: readonly PathStep[]): Dropped {
  const alone = new Set<string>();
  const whole = new Set<string>();
  for (const step of steps) {
    const { node, prefix, iteration } = step;
    alone.add(prefix + node.id);
    if (iteration !== undefined) {
      alone.add(`${prefix}${node.id}[${iteration}]`);
    }
    addFollowing(step, whole);
    addRepeated(step, whole);
  }
  return { alone, whole };
}

type PathStep = {
  readonly subgraph: Subgraph;
  readonly node: GraphNode;
  readonly prefix: string;
  /** The index of the iteration that the path leads into. */
  readonly iteration: string | undefined;
};

function stepsOf(graph: Graph, path: string): readonly PathStep[] | undefined {
  const steps: PathStep[] = [];
  let inside: readonly Subgraph[] = [graph.root];
  let prefix = "";
  for (const part of path.split("/")) {
    const [, id, iteration] = /^(.*?)(?:\[(\d+)\])?$/.exec(part) ?? [];
    const isHere = (candidate: GraphNode) => candidate.id === id;
    const subgraph: Subgraph | undefined = inside.find(({ nodes }) => nodes.some(isHere));
    const node: GraphNode | undefined = subgraph?.nodes.find(isHere);
    if (subgraph === undefined || node === undefined) {
      return undefined;
    }
    steps.push({ subgraph, node, prefix, iteration });
    inside = iteration === undefined ? [] : subgraphsIn(node);
    prefix += `${part}/`;
  }
  return steps.at(-1)?.iteration === undefined ? steps : undefined;
}

function subgraphsIn({ step }: GraphNode): readonly Subgraph[] {
  switch (step.kind) {
    case "group":
      return [step.subgraph];
    case "try_catch":
      return [step.trySubgraph, step.catchSubgraph];
    default:
      return [];
  }
}

/**
 * Adds what a Try & Catch that runs again does not take over: it begins with the first attempt, of which only the nodes behind
 * `try` keep their results.
 */
function addRepeated({ node: { id, step }, prefix }: PathStep, found: Set<string>): void {
  if (step.kind !== "try_catch") {
    return;
  }
  for (let attempt = 1; attempt < step.retry.attemptsMax; attempt += 1) {
    found.add(`${prefix}${id}[${attempt}]`);
  }
  for (const node of step.catchSubgraph.nodes) {
    found.add(`${prefix}${id}[0]/${node.id}`);
  }
}

/** Adds the paths of all nodes that a branch can reach from a node. */
function addFollowing({ subgraph, node: from, prefix }: PathStep, found: Set<string>): void {
  const ahead = [from];
  for (let node = ahead.pop(); node !== undefined; node = ahead.pop()) {
    for (const index of [...node.ports.values()].flat()) {
      const next = subgraph.nodes[index];
      if (next === undefined || found.has(prefix + next.id)) {
        continue;
      }
      found.add(prefix + next.id);
      ahead.push(next);
    }
  }
}
