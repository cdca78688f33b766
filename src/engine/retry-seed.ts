import type { NodeRun } from "../domain/execution.ts";
import type { Graph, GraphNode, Level } from "./graph.ts";

/**
 * What a retry of a node takes over from an ended run: the results that neither are the node's nor come from behind it.
 * Failures are not taken over, so that what failed beside the node runs again too. The Groups that the node is in run
 * again as well, but of their iterations only those that have not come to a good end. Undefined where the path leads to
 * no node of the graph.
 */
export function retrySeed(graph: Graph, runs: readonly NodeRun[], path: string): readonly NodeRun[] | undefined {
  const dropped = droppedPaths(graph, path);
  return dropped && runs.filter(({ path: own, state }) => isResult(state) && isKept(own, dropped));
}

/** The node that a path leads to, such as `4[12]/7`. */
export function nodeAt(graph: Graph, path: string): GraphNode | undefined {
  return stepsOf(graph, path)?.at(-1)?.node;
}

function isResult(state: NodeRun["state"]): boolean {
  return state === "SUCCESS" || state === "SKIPPED" || state === "ERRORED_AND_SKIPPED";
}

type Dropped = {
  /** Records of these paths, though not what is inside of them: the node's Groups and its iterations. */
  readonly alone: ReadonlySet<string>;
  /** Records of these paths with all inside of them: what comes behind the node. */
  readonly whole: ReadonlySet<string>;
};

/** Waits and attempts, whose paths have a `#`, belong to nodes that have results, and tell nothing beside those. */
function isKept(path: string, { alone, whole }: Dropped): boolean {
  if (path.includes("#") || alone.has(path)) return false;
  const ends = [...path.matchAll(/[[/]/g)].map(({ index }) => index);
  return ![...ends, path.length].some((end) => whole.has(path.slice(0, end)));
}

function droppedPaths(graph: Graph, path: string): Dropped | undefined {
  const steps = stepsOf(graph, path);
  if (steps === undefined) return undefined;
  const alone = new Set<string>();
  const whole = new Set<string>();
  for (const { level, node, prefix, iteration } of steps) {
    alone.add(prefix + node.id);
    if (iteration !== undefined) alone.add(`${prefix}${node.id}[${iteration}]`);
    for (const id of behind(level, node)) whole.add(prefix + id);
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

/** The ids of the nodes that a branch may come to from a node. */
function behind(level: Level, from: GraphNode): ReadonlySet<string> {
  const found = new Set<string>();
  const ahead = [from];
  for (let node = ahead.pop(); node !== undefined; node = ahead.pop()) {
    for (const place of Object.values(node.ports).flat()) {
      const next = level.nodes[place];
      if (next === undefined || found.has(next.id)) continue;
      found.add(next.id);
      ahead.push(next);
    }
  }
  return found;
}
