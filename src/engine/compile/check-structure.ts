import { errorPort } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import {
  type Edge,
  type Node,
  NodeSettings_OnError,
  type WorkflowDefinition,
} from "../../gen/flowcall/v1/definition_pb.ts";
import type { Problems } from "../errors/problems.ts";
import { innerPorts } from "../graph/graph.ts";
import { findCycles } from "./find-cycles.ts";

/** The nodes and edges of a definition in which they fit together. */
export type Structure = {
  readonly start: Node;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly edges: readonly Link[];
};

/** An edge between two nodes that exist. */
export type Link = {
  readonly source: Node;
  readonly target: Node;
  readonly port: string;
  /** The edge's index in the definition. */
  readonly index: number;
};

/** The ports of a node. By the first one a branch continues when the node did not run. */
export function portsOf(node: Node): readonly [string, ...string[]] {
  const { kind } = node;
  const [first, ...others]: readonly [string, ...string[]] =
    kind.case === "switch"
      ? ["default", ...kind.value.cases.map(({ port }) => port)]
      : portsByKind[kind.case ?? "start"];
  return [first, ...others, ...(hasErrorPort(node) ? [errorPort] : [])];
}

/** Whether a port leads into the node that it belongs to. */
export function isInnerPort(port: string): boolean {
  return innerPorts.some((one) => one === port);
}

/** Whether other nodes stand inside of a node. */
export function isContainer({ kind }: Node): boolean {
  return kind.case === "group" || kind.case === "tryCatch";
}

/** Whether the branch goes on at the port `error` when the node fails. */
export function hasErrorPort({ kind, settings }: Node): boolean {
  return settings?.onError === NodeSettings_OnError.PORT && !portless.includes(kind.case ?? "");
}

/** A Start does not fail, and a Terminate ends the run whatever happens. */
const portless: readonly string[] = ["start", "terminate"];

const portsByKind = {
  start: ["next"],
  response: ["next"],
  transform: ["next"],
  rule: ["false", "true"],
  group: ["next", "each"],
  delay: ["next"],
  terminate: ["next"],
  http: ["next"],
  waitForWebhook: ["next"],
  subFlow: ["next"],
  code: ["next"],
  dataMapper: ["next"],
  merge: ["next"],
  tryCatch: ["next", "try", "catch"],
} as const satisfies Record<Exclude<NonNullable<Node["kind"]["case"]>, "switch">, readonly string[]>;

const kindNames = [...Object.keys(portsByKind).map(memberNameOf), "switch"];

/** The name of the node's member that says what it does, as definitions have it. */
export function memberNameOf(kind: string): string {
  return kind.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The limit of edges is the limit of nodes times this. */
const edgesPerNode = 20;

/** Reports every problem in how nodes, Groups and edges fit together. Gives the structure where there is none. */
export function checkStructure(
  definition: WorkflowDefinition,
  limits: Limits,
  problems: Problems,
): Structure | undefined {
  const before = problems.errorCount;
  if (definition.nodes.length > limits.graphNodesMax) {
    // The other checks take time for each node, so they do not run on a graph without bounds.
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
  const edges = definition.edges.flatMap((edge, index) => checkEdge(edge, index, nodes, problems));
  for (const cycle of findCycles([...nodes.keys()], edges)) {
    problems.error(
      { field: `edges[${cycle.closing.index}]` },
      "GRAPH_CYCLIC",
      `The nodes ${cycle.ids.join(" → ")} form a cycle. Remove one of these edges. To repeat nodes, put them into a Group.`,
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
        `The node does not say what it does. Set one of ${kindNames.join(", ")}.`,
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
    const location = { nodeId: node.id, field: "group_id" };
    const outer = known.get(node.groupId);
    if (outer === undefined || !isContainer(outer)) {
      problems.error(
        location,
        "GROUP_UNKNOWN",
        `"${node.groupId}" is not the id of a Group or a Try & Catch. Name one, or leave it out.`,
      );
    } else if (isInsideOfItself(node, known)) {
      problems.error(location, "GROUP_CYCLIC", `The Group is inside of itself. Take it out of "${node.groupId}".`);
    }
    if (node.kind.case === "start") {
      problems.error(location, "START_IN_GROUP", "The Start node cannot be inside a Group. Take it out.");
    }
    if (node.kind.case === "response" && isInsideOfGroup(node, known)) {
      problems.error(
        location,
        "RESPONSE_IN_GROUP",
        "A Response cannot be inside a Group: it would answer once for each item. Put it after the Group.",
      );
    }
  }
}

function isInsideOfGroup(node: Node, known: ReadonlyMap<string, Node>): boolean {
  return outerNodes(node, known).some(({ kind }) => kind.case === "group");
}

function isInsideOfItself(node: Node, known: ReadonlyMap<string, Node>): boolean {
  return outerNodes(node, known).includes(node);
}

/** The nodes around a node, from the inside out, each once. */
function outerNodes(node: Node, known: ReadonlyMap<string, Node>): readonly Node[] {
  const found = new Set<Node>();
  for (let id = node.groupId; id !== undefined; ) {
    const outer = known.get(id);
    if (outer === undefined || found.has(outer)) {
      break;
    }
    found.add(outer);
    id = outer.groupId;
  }
  return [...found];
}

function checkEdge(edge: Edge, index: number, known: ReadonlyMap<string, Node>, problems: Problems): readonly Link[] {
  const field = `edges[${index}]`;
  // No branch ever takes an edge that leaves an unreachable node, so its problems are warnings.
  const isUnreachable = problems.isUnreachable(edge.source);
  const report: Problems["error"] = (...problem) =>
    isUnreachable ? problems.warn(...problem) : problems.error(...problem);
  const source = known.get(edge.source);
  const target = known.get(edge.target);
  for (const [end, id, node] of [["source", edge.source, source] as const, ["target", edge.target, target] as const]) {
    if (node === undefined) {
      report(
        { field: `${field}.${end}` },
        "EDGE_NODE_UNKNOWN",
        `The edge names the node "${id}", which does not exist.${problems.suggestion(id, [...known.keys()])}`,
      );
    }
  }
  const port = edge.port ?? "next";
  if (source?.kind.case !== undefined) {
    const ports = portsOf(source);
    if (!ports.includes(port)) {
      const advice = port === errorPort ? " Its setting on_error: PORT would give it one." : "";
      const message = `The node "${source.id}" has no port "${port}", only ${ports.join(" and ")}.${advice}`;
      report({ field: `${field}.port` }, "PORT_UNKNOWN", message);
    }
  }
  if (target?.kind.case === "start") {
    report({ field: `${field}.target` }, "START_HAS_INPUT", "Nothing can lead to the Start node. Remove the edge.");
  }
  if (source === undefined || target === undefined) {
    return [];
  }
  const leadsInside = isInnerPort(port);
  if (leadsInside ? target.groupId !== source.id : target.groupId !== source.groupId) {
    report(
      { field },
      "EDGE_CROSSES_GROUP",
      leadsInside
        ? `The port "${port}" of "${source.id}" must lead to a node inside of it; "${target.id}" is not.`
        : `"${source.id}" and "${target.id}" are not in the same Group or Try & Catch. Only the ports "each", "try" and ` +
            `"catch" lead into one, and what comes after it follows its port "next".`,
    );
  }
  return isUnreachable ? [] : [{ source, target, port, index }];
}

/**
 * The ids of the nodes to which no path leads from the Start. Empty where there is no Start, because then it is not known
 * which nodes are meant to run.
 */
export function unreachableNodes({ nodes, edges }: Pick<WorkflowDefinition, "nodes" | "edges">): ReadonlySet<string> {
  const starts = nodes.filter(({ kind }) => kind.case === "start");
  if (starts.length === 0) {
    return new Set();
  }
  const leaving = Map.groupBy(edges, ({ source }) => source);
  const reached = new Set(starts.map(({ id }) => id));
  for (const id of reached) {
    for (const { target } of leaving.get(id) ?? []) {
      reached.add(target);
    }
  }
  return new Set(nodes.map(({ id }) => id).filter((id) => !reached.has(id)));
}
