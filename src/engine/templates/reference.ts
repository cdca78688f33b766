import type { JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { TextBudget } from "./text-budget.ts";

/** A compiled template `{{…}}`: the source of its value, and the path of members and indexes in it. */
export type Reference = {
  /** The text between the braces, trimmed. */
  readonly text: string;
  readonly source: Source;
  readonly path: readonly string[];
};

export type Source =
  | { readonly kind: "event_body" }
  | { readonly kind: "event_headers" }
  | { readonly kind: "workflow_fields" }
  | { readonly kind: "application_fields" }
  | { readonly kind: "linked_account" }
  | { readonly kind: "execution_id" }
  /** A variable of the environment. An HTTP node reads it before it renders its request. */
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "node"; readonly nodeId: string }
  /** The URL that ends the wait of a node. `depth` is the number of Groups around that node. */
  | { readonly kind: "callback_url"; readonly nodeId: string; readonly depth: number }
  | { readonly kind: "node_fact"; readonly nodeId: string; readonly fact: NodeFact };

/** What templates can read of a node beside its output: its state, why it failed, and the failed iterations of a Group. */
export type NodeFact = "state" | "error" | "errors";

/** Where the templates of a node read while it runs. */
export interface Scope {
  /** The value. Undefined where the path does not resolve, which is noted in the node's record. */
  read(reference: Reference): JsonValue | undefined;
}

/** A scope that also has the JSON texts of its values. */
export type TextScope = Scope & {
  /** The JSON text of a source, if it is available without serialising. */
  textOf(source: Source): JsonText | undefined;
};

/** A scope that can also read without a note in the node's record. */
export type PeekScope = TextScope & { peek(reference: Reference): JsonValue | undefined };

/** A compiled text with templates. Without references it renders a constant. */
export type Template<Value> = {
  readonly references: readonly Reference[];
  /** The only reference of a text that has nothing else: the template gives its value as it is. */
  readonly lone?: Reference;
  /** @param texts the budget of a larger rendering; absent where this text is all of it */
  readonly render: (scope: Scope, texts?: TextBudget) => Value;
};

/**
 * Follows a path into a value. Only own members and indexes exist, so `constructor` and `__proto__` lead nowhere (no prototype
 * pollution), and an array has no `length`.
 */
export function walk(root: JsonValue | undefined, path: readonly string[]): JsonValue | undefined {
  let value = root;
  for (const part of path) {
    if (typeof value !== "object" || value === null) {
      return undefined;
    }
    if (Array.isArray(value)) {
      value = isIndex(part) ? value[Number(part)] : undefined;
    } else {
      value = Object.hasOwn(value, part) ? value[part] : undefined;
    }
  }
  return value;
}

/** Whether a step of a path can be the index of an item. */
export function isIndex(part: string): boolean {
  return /^(0|[1-9]\d*)$/.test(part);
}
