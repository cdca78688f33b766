import { type SourceEdge, type SourceNode, shown, UnusableSource } from "./source-workflow.ts";

/** A node that a template names, and what the template reads of it. */
export type FoundNode = {
  readonly id: string;
  readonly name: string;
  readonly isAmbiguous: boolean;
  readonly isReachable: boolean;
  /** As `body.items`. */
  readonly below: string;
};

/** The nodes of a workflow, by the ids that they get: what leads to them, and which are called what. */
export class NodeIndex {
  readonly reachable: ReadonlySet<string>;
  /** By the ids that they get. */
  readonly #nodes: ReadonlyMap<string, SourceNode>;
  readonly #ids: ReadonlyMap<string, string>;
  readonly #byId: ReadonlyMap<string, SourceNode>;
  readonly #byName: ReadonlyMap<string, readonly SourceNode[]>;
  readonly #longestName: number;

  /** Throws UnusableSource for a graph that goes in circles. */
  constructor(nodes: readonly SourceNode[], edges: readonly SourceEdge[]) {
    requireAcyclic(nodes, edges);
    this.#ids = newIds(nodes);
    this.#nodes = new Map(nodes.map((node) => [this.idOf(node.id), node]));
    this.#byId = new Map(nodes.map((node) => [node.id, node]));
    this.#byName = Map.groupBy(
      nodes.filter(({ name }) => name !== ""),
      ({ name }) => name,
    );
    this.#longestName = Math.max(0, ...[...this.#byName.keys()].map(({ length }) => length));
    this.reachable = reachableFrom(nodes, edges);
  }

  /** The id that a node gets: its own where that is one here. */
  idOf(sourceId: string): string {
    return this.#ids.get(sourceId) ?? sourceId;
  }

  /** Whether a node has this id here. */
  isTaken(id: string): boolean {
    return this.#nodes.has(id);
  }

  /** The node that a text begins with the id or the name of; an id wins over a name, and a longer name over a shorter one. */
  find(text: string): FoundNode | undefined {
    const [head = ""] = /^[^.:[]*/.exec(text) ?? [];
    const own = this.#byId.get(head);
    if (own !== undefined) {
      return this.#found([own], text.slice(head.length));
    }
    for (let length = Math.min(text.length, this.#longestName); length > 0; length -= 1) {
      const after = text[length];
      const isEnd = after === undefined || after === "." || after === ":" || after === "[";
      const named = isEnd ? this.#byName.get(text.slice(0, length)) : undefined;
      if (named !== undefined) {
        return this.#found(named, text.slice(length));
      }
    }
    return undefined;
  }

  /** The kind that answers an HTTP call, or else none that matters. */
  kindOf(id: string): "http" | "other" {
    const node = this.#nodes.get(id);
    return node !== undefined && isHttp(node) ? "http" : "other";
  }

  /** The innermost Group around a node, both by the ids that they get. */
  groupAround(id: string): string | undefined {
    const parent = this.#nodes.get(id)?.parentId;
    return parent === undefined ? undefined : this.idOf(parent);
  }

  #found(nodes: readonly SourceNode[], rest: string): FoundNode | undefined {
    const [node] = nodes;
    return (
      node && {
        id: this.idOf(node.id),
        name: node.name,
        isAmbiguous: nodes.length > 1,
        isReachable: this.reachable.has(node.id),
        below: rest.replace(/^[.:]/, ""),
      }
    );
  }
}

/** Whether a node calls a URL that it says itself. */
export function isHttp({ type, action }: SourceNode): boolean {
  return type === "httpinternal" || (action === "httprequest" && type !== "custom");
}

/** Ids with other letters, or too many, get those that are allowed. */
function newIds(nodes: readonly SourceNode[]): ReadonlyMap<string, string> {
  const taken = new Set(nodes.map(({ id }) => id).filter((id) => idPattern.test(id)));
  return new Map(
    nodes.map(({ id }) => {
      if (idPattern.test(id)) {
        return [id, id];
      }
      const plain = id.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, 50);
      let free = plain;
      for (let count = 2; taken.has(free); count += 1) {
        free = `${plain}_${count}`;
      }
      taken.add(free);
      return [id, free];
    }),
  );
}

const idPattern = /^[A-Za-z0-9_-]{1,64}$/;

function reachableFrom(nodes: readonly SourceNode[], edges: readonly SourceEdge[]): ReadonlySet<string> {
  const outgoing = Map.groupBy(edges, ({ source }) => source);
  const inside = Map.groupBy(nodes, ({ parentId }) => parentId);
  const targets = new Set(edges.map(({ target }) => target));
  const reached = new Set<string>();
  const open = nodes.filter(({ type }) => type === "start").map(({ id }) => id);
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (!reached.has(id)) {
      reached.add(id);
      // What is inside of a Group and has no edge of its own begins there.
      const entries = (inside.get(id) ?? []).filter((node) => !targets.has(node.id)).map((node) => node.id);
      open.push(...entries, ...(outgoing.get(id) ?? []).map(({ target }) => target));
    }
  }
  return reached;
}

/** Refuses circles of edges, and nodes that are inside of themselves. */
function requireAcyclic(nodes: readonly SourceNode[], edges: readonly SourceEdge[]): void {
  const parents = nodes.flatMap(({ id, parentId }) =>
    parentId === undefined ? [] : [{ source: parentId, target: id }],
  );
  const rings = [
    { field: "edges", links: edges, what: "leads in a circle" },
    { field: "nodes", links: parents, what: "has nodes that are inside of each other" },
  ];
  const violations = rings.flatMap(({ field, links, what }) => {
    const ring = circleAmong(
      nodes.map(({ id }) => id),
      links,
    );
    return ring.length === 0 ? [] : [{ field, description: `${what}: ${ring.map(shown).join(", ")}` }];
  });
  if (violations.length > 0) {
    throw new UnusableSource(violations);
  }
}

type Link = { readonly source: string; readonly target: string };

/** Some nodes that no order has behind all that leads to them (Kahn's algorithm); none where there is an order. */
function circleAmong(ids: readonly string[], links: readonly Link[]): readonly string[] {
  const outgoing = Map.groupBy(links, ({ source }) => source);
  const waiting = new Map(ids.map((id) => [id, 0]));
  for (const { target } of links) {
    waiting.set(target, (waiting.get(target) ?? 0) + 1);
  }
  const free = ids.filter((id) => waiting.get(id) === 0);
  for (let id = free.pop(); id !== undefined; id = free.pop()) {
    waiting.delete(id);
    for (const { target } of outgoing.get(id) ?? []) {
      const left = (waiting.get(target) ?? 0) - 1;
      waiting.set(target, left);
      if (left === 0) {
        free.push(target);
      }
    }
  }
  return [...waiting.keys()].slice(0, 10);
}
