import type { JsonObject } from "@bufbuild/protobuf";
import { portOfCase } from "./import-flow.ts";
import type { IssueList } from "./import-issue.ts";
import type { NodeIndex } from "./node-index.ts";
import { listOf, textOf } from "./source-value.ts";
import type { SourceEdge, SourceNode, SourceWorkflow } from "./source-workflow.ts";

/** The edges between nodes that can be reached. The edges are the graph; the lists in nodes only say what a handle left out. */
export function importEdges({ nodes, edges }: SourceWorkflow, index: NodeIndex, issues: IssueList): JsonObject[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const outgoing = Map.groupBy(edges, ({ source }) => source);
  const seen = new Set<string>();
  const made = edges.flatMap((edge): JsonObject[] => {
    const source = byId.get(edge.source);
    if (source === undefined || !index.reachable.has(edge.source)) {
      return [];
    }
    const target = byId.get(edge.target);
    const port = portOf(edge, { source, target, outgoing }, { index, issues });
    const key = JSON.stringify([edge.source, edge.target, port]);
    if (seen.has(key)) {
      issues.note("EDGE_DUPLICATE", `A second edge to ${edge.target} is left out.`, {
        nodeId: index.idOf(edge.source),
      });
      return [];
    }
    seen.add(key);
    const ends = { source: index.idOf(edge.source), target: index.idOf(edge.target) };
    return [port === undefined ? ends : { ...ends, port }];
  });
  for (const node of nodes.filter(({ id }) => index.reachable.has(id))) {
    compareLists(node, outgoing.get(node.id) ?? [], { index, issues });
  }
  return [...made, ...entries(nodes, edges, index)];
}

/** How many nodes behind an edge are looked at for its side. */
const behindMax = 40;

type Ends = {
  readonly source: SourceNode;
  readonly target: SourceNode | undefined;
  readonly outgoing: ReadonlyMap<string, readonly SourceEdge[]>;
};
type Tools = { readonly index: NodeIndex; readonly issues: IssueList };

function portOf(edge: SourceEdge, ends: Ends, tools: Tools): string | undefined {
  const { source, target } = ends;
  switch (source.type) {
    case "rule":
      return edge.handle === "true" || edge.handle === "false" ? edge.handle : guessedPort(edge, ends, tools);
    case "group":
    case "loop":
      return target?.parentId === source.id ? "each" : undefined;
    case "switch":
    case "switch_case":
      return portOfCase(source, edge.handle) ?? "default";
    default:
      return undefined;
  }
}

/** The port of a rule's edge without a handle: that in whose list the target is, or something behind the target; else `true`. */
function guessedPort(
  { source: id, target }: SourceEdge,
  { source, outgoing }: Ends,
  { index, issues }: Tools,
): "true" | "false" {
  const place = { nodeId: index.idOf(id) };
  const satisfied = new Set(listOf(source.document["rule_satisfied_nodes"]).map(textOf));
  const failed = new Set(listOf(source.document["rule_failed_nodes"]).map(textOf));
  const behind = new Set<string>();
  const open = [target];
  for (let next = open.pop(); next !== undefined && behind.size < behindMax; next = open.pop()) {
    if (!behind.has(next)) {
      behind.add(next);
      open.push(...(outgoing.get(next) ?? []).map((edge) => edge.target));
    }
  }
  const isDirect = satisfied.has(target) || failed.has(target);
  const reached = isDirect ? [target] : [...behind];
  const port = reached.some((one) => satisfied.has(one))
    ? "true"
    : reached.some((one) => failed.has(one))
      ? "false"
      : undefined;
  if (port === undefined) {
    const message = `The edge to node ${target} says no side, and no list of the rule does; it is "true" now.`;
    issues.warn("HANDLE_GUESSED", message, place);
    return "true";
  }
  issues.note(
    "HANDLE_INFERRED",
    `The edge to node ${target} says no side; by the rule's lists it is "${port}".`,
    place,
  );
  return port;
}

/** What is inside of a Group and has no edge that leads to it begins there. */
function entries(nodes: readonly SourceNode[], edges: readonly SourceEdge[], index: NodeIndex): JsonObject[] {
  const targets = new Set(edges.map(({ target }) => target));
  return nodes.flatMap(({ id, parentId }) =>
    parentId !== undefined && index.reachable.has(parentId) && !targets.has(id)
      ? [{ source: index.idOf(parentId), target: index.idOf(id), port: "each" }]
      : [],
  );
}

function compareLists(node: SourceNode, edges: readonly SourceEdge[], { index, issues }: Tools): void {
  const listed = listOf(node.document["outgoing_nodes"]).map(textOf);
  const real = new Set(edges.map(({ target }) => target));
  const isSame = listed.length === real.size && listed.every((id) => real.has(id));
  if (listed.length > 0 && !isSame) {
    const message = "The node's own list of what follows differs from the edges; the edges count.";
    issues.note("EDGES_DIFFER", message, { nodeId: index.idOf(node.id), original: listed.join(", ") });
  }
}
