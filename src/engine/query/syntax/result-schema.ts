import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { closedObject } from "../../schema/closed-object.ts";

/** The members of a node of JSONata's syntax tree that are read here. */
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

/** Parts that are nested deeper are taken to give anything. */
const depthMax = 50;

/**
 * Infers a JSON Schema of a query's result from its syntax alone. An object constructor gives the members that it names, or
 * fewer, because JSONata leaves out members without a value. The schema is `true` where the syntax does not tell.
 */
export function resultSchemaOf(ast: object, depth = 0): JsonValue {
  // JSONata's types describe few of its nodes.
  const node = ast as AstNode;
  if (depth > depthMax || node.predicate !== undefined || node.group !== undefined) {
    return true;
  }
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
      if (node.value === "[") {
        return { type: ["array", "null"] };
      }
      return node.value === "{" ? objectSchema(node.lhs, inner) : true;
    default:
      return true;
  }
}

function objectSchema(pairs: unknown, inner: (part: AstNode) => JsonValue): JsonValue {
  if (!Array.isArray(pairs)) {
    return true;
  }
  const properties: JsonObject = {};
  // JSONata keeps an object constructor as pairs of a name's node and a value's node.
  for (const [name, value] of pairs as readonly (readonly [AstNode, AstNode])[]) {
    if (name.type !== "string" || typeof name.value !== "string") {
      return true;
    }
    Object.defineProperty(properties, name.value, { value: inner(value), enumerable: true, configurable: true });
  }
  return closedObject(properties);
}
