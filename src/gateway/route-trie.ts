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
    const methods = new Set<string>();
    for (const { segments, verb } of readings(path.slice(1).split("/"))) {
      for (const routes of ends(this.#root, { segments, verb, index: 0 })) {
        const leaf = routes.get(method);
        if (leaf !== undefined) {
          return { kind: "route", route: leaf.route, segments };
        }
        for (const other of routes.keys()) {
          methods.add(other);
        }
      }
    }
    return methods.size > 0 ? { kind: "otherMethods", methods: [...methods].sort() } : { kind: "nothing" };
  }
}

type Reading = { readonly segments: readonly string[]; readonly verb: string };

/** The colon in a last segment may begin a custom verb, or be a plain character. */
function readings(segments: readonly string[]): readonly Reading[] {
  const plain = { segments, verb: "" };
  const last = segments.at(-1) ?? "";
  const colon = last.lastIndexOf(":");
  if (colon === -1) {
    return [plain];
  }
  return [{ segments: [...segments.slice(0, -1), last.slice(0, colon)], verb: last.slice(colon + 1) }, plain];
}

/** The routes of each node that the path can end at, the most literal first. */
function* ends<Route>(
  branch: Branch<Route>,
  search: Reading & { readonly index: number },
): Iterable<Map<string, Leaf<Route>>> {
  const segment = search.segments[search.index];
  const next = { ...search, index: search.index + 1 };
  if (segment === undefined) {
    const routes = branch.routes.get(search.verb);
    if (routes !== undefined) {
      yield routes;
    }
  } else {
    const literal = branch.literals.get(segment);
    if (literal !== undefined) {
      yield* ends(literal, next);
    }
    if (branch.one !== undefined && segment !== "") {
      yield* ends(branch.one, next);
    }
  }
  const rest = branch.rest?.routes.get(search.verb);
  if (rest !== undefined) {
    yield rest;
  }
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
