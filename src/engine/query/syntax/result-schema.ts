import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { closedObject } from "../../schema/closed-object.ts";

/** What is looked at in a node of JSONata's syntax tree. */
type AstNode = {
  readonly type?: unknown;
  readonly value?: unknown;
  readonly lhs?: unknown;
  readonly expressions?: readonly AstNode[];
  readonly then?: AstNode;
  readonly else?: AstNode;
  readonly predicate?: unknown;
  readonly group?: unknown;
};

/** Deeper in a query nothing is known of its result. */
const depthMax = 50;

/**
 * What a query's result is like, as a JSON Schema, by what its text says alone: an object that is written out has the
 * members that stand there or fewer, since JSONata leaves out what is nothing. True where the text does not say it.
 */
export function resultSchemaOf(ast: object, depth = 0): JsonValue {
  // JSONata's types name few of its nodes.
  const node = ast as AstNode;
  if (depth > depthMax || node.predicate !== undefined || node.group !== undefined) return true;
  const inner = (part: AstNode | undefined) =>
    part === undefined ? { type: "null" } : resultSchemaOf(part, depth + 1);
  switch (node.type) {
    case "string":
      return { type: "string" };
    case "number":
      return { type: "number" };
    case "block":
      return inner(node.expressions?.at(-1));
    case "condition":
      return { anyOf: [inner(node.then), inner(node.else)] };
    case "unary":
      if (node.value === "[") return { type: ["array", "null"] };
      return node.value === "{" ? objectSchema(node.lhs, inner) : true;
    default:
      return true;
  }
}

function objectSchema(pairs: unknown, inner: (part: AstNode) => JsonValue): JsonValue {
  if (!Array.isArray(pairs)) return true;
  const properties: JsonObject = {};
  // Each is a pair of nodes: of the name and of the value.
  for (const [name, value] of pairs as readonly (readonly [AstNode, AstNode])[]) {
    if (name.type !== "string" || typeof name.value !== "string") return true;
    Object.defineProperty(properties, name.value, { value: inner(value), enumerable: true, configurable: true });
  }
  return closedObject(properties);
}
