import type { JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../../domain/json-text.ts";
import type { Texts } from "./text-budget.ts";

/** What one template reads: where its value comes from, and the members and indexes on the way down. */
export type Reference = {
  /** The template's text between the braces, trimmed. */
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
  | { readonly kind: "node"; readonly nodeId: string };

/** Where templates read while a node runs. */
export interface Scope {
  /** The value, or undefined where the path does not resolve; that is then noted on the node's record. */
  read(reference: Reference): JsonValue | undefined;
}

/** A scope that also has the texts of what it reads. */
export type TextScope = Scope & {
  /** The JSON text of all that a source has, where it is known without writing it. */
  textOf(source: Source): JsonText | undefined;
};

/** A scope that also reads without noting anything. */
export type PeekScope = TextScope & { peek(reference: Reference): JsonValue | undefined };

/** A compiled text: its references, and what it gives in a scope. Without references it gives a constant. */
export type Template<Value> = {
  readonly references: readonly Reference[];
  /** @param texts what the texts of a larger rendering have come to; absent where this is all of it */
  readonly render: (scope: Scope, texts?: Texts) => Value;
};

/**
 * Walks down from a value. Only own members and indexes exist: `constructor` and `__proto__` are names like others, and
 * an array has no `length`.
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

/** Whether a step of a path is the index of an item, where there is a list. */
export function isIndex(part: string): boolean {
  return /^(0|[1-9]\d*)$/.test(part);
}
