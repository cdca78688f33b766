import type { Limits } from "../../domain/limits.ts";
import type { Edge, Node, WorkflowDefinition } from "../../gen/flowcall/v1/definition_pb.ts";
import type { Problems } from "../errors/problems.ts";
import { findCycles } from "./find-cycles.ts";

/** The shape of a definition whose nodes and edges fit together. */
export type Structure = {
  readonly start: Node;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly edges: readonly Link[];
};

/** An edge whose ends exist. */
export type Link = { readonly source: Node; readonly target: Node; readonly port: string };

/** The ports of each kind; the first is where a branch goes on when the node did not run. */
export const portsOf = {
  start: ["next"],
  response: ["next"],
  transform: ["next"],
  rule: ["false", "true"],
  group: ["next", "each"],
  delay: ["next"],
  terminate: ["next"],
  http: ["next"],
} as const satisfies Record<NonNullable<Node["kind"]["case"]>, readonly string[]>;

/** Edges, as many as so many for each node that there may be. */
const edgesPerNode = 20;

/** Reports all that is wrong with how nodes, Groups and edges fit together. Gives the structure where nothing is. */
export function checkStructure(
  definition: WorkflowDefinition,
  limits: Limits,
  problems: Problems,
): Structure | undefined {
  const before = problems.errorCount;
  if (definition.nodes.length > limits.graphNodesMax) {
    // The other checks take their time per node, so a graph without bounds ends here.
    const count = definition.nodes.length;
    const message = `The workflow has ${count} nodes of at most ${limits.graphNodesMax} (limit graphNodesMax). Split it.`;
    problems.error({ field: "nodes" }, "GRAPH_TOO_LARGE", message);
    return undefined;
  }
  if (definition.edges.length > limits.graphNodesMax * edgesPerNode) {
    const message = `The workflow has ${definition.edges.length} edges of at most ${limits.graphNodesMax * edgesPerNode}. Remove some.`;
    problems.error({ field: "edges" }, "GRAPH_TOO_LARGE", message);
    return undefined;
  }
  const nodes = checkNodes(definition.nodes, problems);
  const start = checkStart(definition.nodes, problems);
  checkGroups(definition.nodes, nodes, problems);
  const edges = definition.edges.flatMap((edge, index) => checkEdge(edge, `edges[${index}]`, nodes, problems));
  const places = new Map(definition.edges.map((edge, index) => [edge, index]));
  for (const cycle of findCycles([...nodes.keys()], edges)) {
    problems.error(
      { field: `edges[${places.get(cycle.closing.edge)}]` },
      "GRAPH_CYCLIC",
      `The nodes ${cycle.ids.join(" → ")} lead in a circle. Remove one of these edges; a Group repeats nodes.`,
    );
  }
  return start === undefined || problems.errorCount > before ? undefined : { start, nodes, edges };
}

function checkNodes(nodes: readonly Node[], problems: Problems): ReadonlyMap<string, Node> {
  const known = new Map<string, Node>();
  for (const [index, node] of nodes.entries()) {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(node.id)) {
      problems.error(
        { field: `nodes[${index}].id` },
        "NODE_ID_INVALID",
        `The node id ${JSON.stringify(node.id)} must be 1 to 64 letters, digits, "_" or "-".`,
      );
    } else if (known.has(node.id)) {
      problems.error(
        { nodeId: node.id, field: "id" },
        "NODE_ID_DUPLICATE",
        `Several nodes have the id "${node.id}". Give each an id of its own.`,
      );
    } else {
      known.set(node.id, node);
    }
    if (node.kind.case === undefined) {
      problems.error(
        node.id === "" ? { field: `nodes[${index}].kind` } : { nodeId: node.id, field: "kind" },
        "NODE_KIND_MISSING",
        `The node does not say what it does. Set one of ${Object.keys(portsOf).join(", ")}.`,
      );
    }
  }
  return known;
}

function checkStart(nodes: readonly Node[], problems: Problems): Node | undefined {
  const [start, ...more] = nodes.filter((node) => node.kind.case === "start");
  if (start === undefined) {
    problems.error({ field: "nodes" }, "START_MISSING", "The workflow has no Start node. Add one.");
  }
  for (const node of more) {
    problems.error(
      { nodeId: node.id, field: "start" },
      "START_DUPLICATE",
      "The workflow has a Start already. Keep one.",
    );
  }
  return start;
}

function checkGroups(nodes: readonly Node[], known: ReadonlyMap<string, Node>, problems: Problems): void {
  for (const node of nodes) {
    if (node.groupId === undefined) {
      continue;
    }
    const place = { nodeId: node.id, field: "group_id" };
    if (known.get(node.groupId)?.kind.case !== "group") {
      problems.error(place, "GROUP_UNKNOWN", `"${node.groupId}" is not the id of a Group. Name one, or leave it out.`);
    } else if (isInsideItself(node, known)) {
      problems.error(place, "GROUP_CYCLIC", `The Group is inside of itself. Take it out of "${node.groupId}".`);
    }
    if (node.kind.case === "start") {
      problems.error(place, "START_IN_GROUP", "The Start node cannot be inside a Group. Take it out.");
    }
    if (node.kind.case === "response") {
      problems.error(
        place,
        "RESPONSE_IN_GROUP",
        "A Response cannot be inside a Group: it would answer once for each item. Put it behind the Group.",
      );
    }
  }
}

function isInsideItself(node: Node, known: ReadonlyMap<string, Node>): boolean {
  const seen = new Set<string>();
  for (let outer = node.groupId; outer !== undefined && !seen.has(outer); outer = known.get(outer)?.groupId) {
    if (outer === node.id) {
      return true;
    }
    seen.add(outer);
  }
  return false;
}

type CheckedEdge = Link & { readonly edge: Edge };

function checkEdge(
  edge: Edge,
  field: string,
  known: ReadonlyMap<string, Node>,
  problems: Problems,
): readonly CheckedEdge[] {
  // What such an edge leads to runs for other reasons, or not at all.
  const isLeftOut = problems.isLeftOut(edge.source);
  const tell: Problems["error"] = (...problem) => (isLeftOut ? problems.warn(...problem) : problems.error(...problem));
  const source = known.get(edge.source);
  const target = known.get(edge.target);
  for (const [end, id, node] of [["source", edge.source, source] as const, ["target", edge.target, target] as const]) {
    if (node === undefined) {
      tell(
        { field: `${field}.${end}` },
        "EDGE_NODE_UNKNOWN",
        `The edge names the node "${id}", which does not exist.${problems.meant(id, [...known.keys()])}`,
      );
    }
  }
  const port = edge.port ?? "next";
  if (source?.kind.case !== undefined) {
    const ports: readonly string[] = portsOf[source.kind.case];
    if (!ports.includes(port)) {
      const message = `The node "${source.id}" has no port "${port}", only ${ports.join(" and ")}.`;
      tell({ field: `${field}.port` }, "PORT_UNKNOWN", message);
    }
  }
  if (target?.kind.case === "start") {
    tell({ field: `${field}.target` }, "START_HAS_INPUT", "Nothing can lead to the Start node. Remove the edge.");
  }
  if (source === undefined || target === undefined) return [];
  if (port === "each" ? target.groupId !== source.id : target.groupId !== source.groupId) {
    tell(
      { field },
      "EDGE_CROSSES_GROUP",
      port === "each"
        ? `The port "each" of "${source.id}" must lead to a node inside that Group; "${target.id}" is not.`
        : `"${source.id}" and "${target.id}" are not in the same Group. Only the port "each" leads into a Group, and ` +
            `what is behind a Group follows its port "next".`,
    );
  }
  return isLeftOut ? [] : [{ source, target, port, edge }];
}
