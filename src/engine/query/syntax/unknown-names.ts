import { nearest } from "../../../domain/nearest.ts";

/** The functions that a query can call: JSONata's and our own. */
export const functionNames: ReadonlySet<string> = new Set(
  (
    "abs append assert average base64decode base64encode boolean ceil clone contains count decodeUrl decodeUrlComponent " +
    "distinct each encodeUrl encodeUrlComponent error eval exists filter floor formatBase formatInteger formatNumber " +
    "fromMillis hash join keys length lookup lowercase map match max merge millis min not now number pad parseInteger " +
    "parseJson power random reduce replace reverse round shuffle sift single sort split spread sqrt string substring " +
    "substringAfter substringBefore sum toMillis trim type uppercase uuid zip"
  ).split(" "),
);

/** The members of a node of JSONata's syntax tree that are read here. */
type AstNode = {
  readonly type?: unknown;
  readonly value?: unknown;
  readonly position?: unknown;
  readonly lhs?: unknown;
  readonly arguments?: unknown;
  readonly focus?: unknown;
  readonly index?: unknown;
  readonly procedure?: AstNode;
  readonly steps?: readonly AstNode[];
};

/** A token of a query that is wrong, with a message for the author. */
export type UnknownName = { readonly message: string; readonly token: string; readonly position: number };

/**
 * Finds a variable that nothing binds, or the call of a name that is not a function. A variable that is bound anywhere in the
 * query passes, even if it is read in another block.
 *
 * @param bound the names of the variables that the service binds
 */
export function unknownName(ast: object, bound: readonly string[]): UnknownName | undefined {
  const nodes = nodesOf(ast);
  // JSONata calls the context "" and the root "$".
  const known = new Set<unknown>(["", "$", ...functionNames, ...bound]);
  const own = nodes.flatMap(boundBy);
  for (const name of own) {
    known.add(name);
  }
  for (const { type, value, position, procedure } of nodes) {
    if (type === "variable" && !known.has(value)) {
      const [suggestion] = nearest(String(value), [...functionNames, ...own.map(String)]);
      return {
        message: `There is no function or variable $${value}${suggestion === undefined ? "" : `. Did you mean $${suggestion}?`}`,
        token: String(value),
        position: Number(position),
      };
    }
    const [name, more] = procedure?.type === "path" ? (procedure.steps ?? []) : [];
    if (type === "function" && name?.type === "name" && more === undefined) {
      const meant = functionNames.has(String(name.value)) ? `. Did you mean $${name.value}?` : "";
      const message = `"${name.value}" is a name in the data, and not a function${meant}`;
      return { message, token: String(name.value), position: Number(name.position) };
    }
  }
  return undefined;
}

function boundBy({ type, value, lhs, arguments: args, focus, index }: AstNode): readonly unknown[] {
  if (type === "bind" && isNode(lhs)) {
    return [lhs.value];
  }
  if (type === "lambda" && Array.isArray(args)) {
    return args.map((one) => (isNode(one) ? one.value : undefined));
  }
  return [focus, index, ...(type === "index" ? [value] : [])];
}

function isNode(value: unknown): value is AstNode {
  return typeof value === "object" && value !== null;
}

/** All nodes of a syntax tree, in no particular order. */
export function nodesOf(ast: object): readonly AstNode[] {
  const seen = new Set<object>();
  const waiting: object[] = [ast];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) {
      continue;
    }
    seen.add(next);
    for (const value of Object.values(next)) {
      if (isNode(value)) {
        waiting.push(value);
      }
    }
  }
  // All objects of the tree are its nodes or parts of them.
  return [...seen] as readonly AstNode[];
}
