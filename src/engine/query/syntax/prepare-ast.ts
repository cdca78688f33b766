import { compileRegex } from "../../regex/regex-engine.ts";

/** The members of a node of JSONata's syntax tree that are read or changed here. */
type AstNode = {
  readonly type?: unknown;
  readonly group?: unknown;
  readonly steps?: readonly AstNode[];
  readonly tuple?: unknown;
  stages?: unknown[];
  predicate?: unknown[];
};

/**
 * Makes a parsed query safe to evaluate.
 *
 * It throws where RE2 cannot take a regular expression, so that this is reported on compiling. And it protects data from
 * grouping: JSONata pushes an entry to an empty array before it groups it, and where that is an array of the data, every
 * node that shares the data would see the entry.
 */
export function prepareAst(ast: object): void {
  const seen = new Set<object>();
  const waiting: object[] = [ast];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) {
      continue;
    }
    seen.add(next);
    if (next instanceof RegExp) {
      compileRegex(next);
    }
    // All other objects of the tree are its nodes or parts of them.
    copyBeforeGrouping(next as AstNode);
    for (const value of Object.values(next)) {
      if (typeof value === "object" && value !== null) {
        waiting.push(value);
      }
    }
  }
}

/** Adds a filter that keeps every item, as in `items[true]{…}`: it makes a new array of the same items. */
function copyBeforeGrouping(node: AstNode): void {
  if (node.group === undefined) {
    return;
  }
  const filter = { type: "filter", expr: { type: "value", value: true } };
  const last = node.steps?.at(-1);
  if (last === undefined) {
    node.predicate = [...(node.predicate ?? []), filter];
  } else if (last.tuple === undefined) {
    last.stages = [...(last.stages ?? []), filter];
  }
}
