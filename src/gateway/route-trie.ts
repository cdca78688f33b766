import type { PathTemplate, TemplateSegment } from "./path-template.ts";

/** The result of a search. The segments are not decoded, and without the custom verb. */
export type TrieMatch<Route> =
  | { readonly kind: "route"; readonly route: Route; readonly segments: readonly string[] }
  | { readonly kind: "otherMethods"; readonly methods: readonly string[] }
  | { readonly kind: "nothing" };

/** A node of the trie; `routes` holds the routes that end here, by custom verb and then by method. */
type Branch<Route> = {
  readonly literals: Map<string, Branch<Route>>;
  one: Branch<Route> | undefined;
  rest: Branch<Route> | undefined;
  readonly routes: Map<string, Map<string, Leaf<Route>>>;
};

type Leaf<Route> = { readonly route: Route; readonly source: string };

/**
 * A trie of path templates that finds the route of a path and method. At each segment a literal is tried before `*`, and
 * `*` before `**`; a branch without a route for the method is left for the next (backtracking). Segments are compared
 * without decoding, so an encoded literal is another path. A search visits each node at most once.
 */
export class RouteTrie<Route> {
  readonly #root: Branch<Route> = newBranch();

  /** Throws where the method has a template of the same shape: both would match the same paths. */
  add(template: PathTemplate, method: string, route: Route): void {
    const end = template.segments.reduce(grow, this.#root);
    const methods = end.routes.get(template.verb) ?? new Map<string, Leaf<Route>>();
    const other = methods.get(method);
    if (other !== undefined) {
      throw new Error(`${method} ${template.source} and ${method} ${other.source} match the same paths`);
    }
    methods.set(method, { route, source: template.source });
    end.routes.set(template.verb, methods);
  }

  find(path: string, method: string): TrieMatch<Route> {
    if (!path.startsWith("/")) {
      return { kind: "nothing" };
    }
    const segments = path.slice(1).split("/");
    const last = segments.at(-1) ?? "";
    const colon = last.lastIndexOf(":");
    const others = new Set<string>();
    // The colon in a last segment may begin a custom verb, or be a plain character.
    if (colon !== -1) {
      const before = [...segments.slice(0, -1), last.slice(0, colon)];
      const leaf = leafAt(this.#root, 0, { segments: before, verb: last.slice(colon + 1), method, others });
      if (leaf !== undefined) {
        return { kind: "route", route: leaf.route, segments: before };
      }
    }
    const leaf = leafAt(this.#root, 0, { segments, verb: "", method, others });
    if (leaf !== undefined) {
      return { kind: "route", route: leaf.route, segments };
    }
    return others.size > 0 ? { kind: "otherMethods", methods: [...others].sort() } : { kind: "nothing" };
  }
}

type Search = {
  readonly segments: readonly string[];
  readonly verb: string;
  readonly method: string;
  /** The methods of routes that match but for theirs. */
  readonly others: Set<string>;
};

/** The first route for the rest of the path behind a node, the most literal first. */
function leafAt<Route>(branch: Branch<Route>, index: number, search: Search): Leaf<Route> | undefined {
  const segment = search.segments[index];
  let found: Leaf<Route> | undefined;
  if (segment === undefined) {
    found = leafIn(branch.routes.get(search.verb), search);
  } else {
    const literal = branch.literals.get(segment);
    found = literal && leafAt(literal, index + 1, search);
    if (found === undefined && branch.one !== undefined && segment !== "") {
      found = leafAt(branch.one, index + 1, search);
    }
  }
  return found ?? leafIn(branch.rest?.routes.get(search.verb), search);
}

function leafIn<Route>(
  routes: ReadonlyMap<string, Leaf<Route>> | undefined,
  { method, others }: Search,
): Leaf<Route> | undefined {
  if (routes === undefined) {
    return undefined;
  }
  const leaf = routes.get(method);
  if (leaf === undefined) {
    for (const other of routes.keys()) {
      others.add(other);
    }
  }
  return leaf;
}

function grow<Route>(branch: Branch<Route>, segment: TemplateSegment): Branch<Route> {
  switch (segment.kind) {
    case "literal": {
      const next = branch.literals.get(segment.text) ?? newBranch<Route>();
      branch.literals.set(segment.text, next);
      return next;
    }
    case "one":
      branch.one ??= newBranch();
      return branch.one;
    case "rest":
      branch.rest ??= newBranch();
      return branch.rest;
  }
}

function newBranch<Route>(): Branch<Route> {
  return { literals: new Map(), one: undefined, rest: undefined, routes: new Map() };
}
