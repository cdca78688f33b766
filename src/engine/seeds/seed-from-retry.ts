import type { NodeRun } from "../../domain/execution.ts";
import type { Graph, GraphNode, Level } from "../graph/graph.ts";

/** Which records of an ended run a retry takes over, once it has seen which of its nodes failed. */
export type RetrySeed = {
  see(run: Pick<NodeRun, "path" | "state">): void;
  keeps(run: NodeRun): boolean;
};

/**
 * What a retry of a node takes over from an ended run: the results that neither are the node's nor come from behind it.
 * Failures are not taken over, so that what failed beside the node runs again too, nor what ran behind them without their
 * results. The Groups that the node is in run again as well, but of their iterations only those that have not come to a
 * good end. Undefined where the path leads to no node of the graph.
 */
export function retrySeed(graph: Graph, path: string): RetrySeed | undefined {
  const steps = stepsOf(graph, path);
  if (steps === undefined) return undefined;
  const dropped = droppedPaths(steps);
  return {
    see: ({ path: failed, state }) => {
      const last = isFailure(state) ? stepsOf(graph, failed)?.at(-1) : undefined;
      if (last !== undefined) addBehind(last, dropped.whole);
    },
    keeps: (run) => isResult(run) && isKept(run.path, dropped),
  };
}

/** The node that a path leads to, such as `4[12]/7`. */
export function nodeAt(graph: Graph, path: string): GraphNode | undefined {
  return stepsOf(graph, path)?.at(-1)?.node;
}

/** What a node hides is not there any more when its execution has ended: the node runs again. */
function isResult({ state, is_hidden }: NodeRun): boolean {
  if (is_hidden === true) return false;
  return state === "SUCCESS" || state === "SKIPPED" || state === "ERRORED_AND_SKIPPED";
}

function isFailure(state: NodeRun["state"]): boolean {
  return state === "ERRORED" || state === "TIMED_OUT";
}

type Dropped = {
  /** Records of these paths, though not what is inside of them: the node's Groups and its iterations. */
  readonly alone: Set<string>;
  /** Records of these paths with all inside of them: what comes behind the node. */
  readonly whole: Set<string>;
};

/** Waits and attempts, whose paths have a `#`, belong to nodes that have results, and tell nothing beside those. */
function isKept(path: string, { alone, whole }: Dropped): boolean {
  if (path.includes("#") || alone.has(path)) return false;
  const ends = [...path.matchAll(/[[/]/g)].map(({ index }) => index);
  return ![...ends, path.length].some((end) => whole.has(path.slice(0, end)));
}

function droppedPaths(steps: readonly PathStep[]): Dropped {
  const alone = new Set<string>();
  const whole = new Set<string>();
  for (const step of steps) {
    const { node, prefix, iteration } = step;
    alone.add(prefix + node.id);
    if (iteration !== undefined) alone.add(`${prefix}${node.id}[${iteration}]`);
    addBehind(step, whole);
  }
  return { alone, whole };
}

type PathStep = {
  readonly level: Level;
  readonly node: GraphNode;
  readonly prefix: string;
  /** In which iteration of the node the path goes on. */
  readonly iteration: string | undefined;
};

function stepsOf(graph: Graph, path: string): readonly PathStep[] | undefined {
  const steps: PathStep[] = [];
  let level: Level | undefined = graph.root;
  let prefix = "";
  for (const part of path.split("/")) {
    const [, id, iteration] = /^(.*?)(?:\[(\d+)\])?$/.exec(part) ?? [];
    const node: GraphNode | undefined = level?.nodes.find((candidate) => candidate.id === id);
    if (level === undefined || node === undefined) return undefined;
    steps.push({ level, node, prefix, iteration });
    level = node.step.kind === "group" && iteration !== undefined ? node.step.level : undefined;
    prefix += `${part}/`;
  }
  return steps.at(-1)?.iteration === undefined ? steps : undefined;
}

/** Adds the paths of the nodes that a branch may come to from a node. */
function addBehind({ level, node: from, prefix }: PathStep, found: Set<string>): void {
  const ahead = [from];
  for (let node = ahead.pop(); node !== undefined; node = ahead.pop()) {
    for (const place of Object.values(node.ports).flat()) {
      const next = level.nodes[place];
      if (next === undefined || found.has(prefix + next.id)) continue;
      found.add(prefix + next.id);
      ahead.push(next);
    }
  }
}
