import type { JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";

/**
 * Resolves a reference by JSON Pointer (RFC 6901) in the same document, such as `#/$defs/item`. Undefined where it resolves to
 * nothing, and for an anchor.
 */
export function referredIn(root: JsonValue, reference: string): JsonValue | undefined {
  const steps = pointerOf(root, reference);
  let json: JsonValue | undefined = steps === undefined ? undefined : root;
  for (const step of steps ?? []) {
    if (Array.isArray(json)) {
      json = json[Number(step)];
    } else {
      json = isObject(json) && Object.hasOwn(json, step) ? json[step] : undefined;
    }
  }
  return json;
}

/** The steps of the JSON Pointer in a reference into the same document. */
export function pointerOf(root: JsonValue, reference: string): readonly string[] | undefined {
  const fragment = fragmentOf(root, reference);
  if (fragment === undefined || (fragment !== "" && !fragment.startsWith("/"))) {
    return undefined;
  }
  return fragment
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The fragment of a reference into the same document. Undefined for a reference into another one. */
export function fragmentOf(root: JsonValue, reference: string): string | undefined {
  const $id = isObject(root) ? root["$id"] : undefined;
  const isOwn = typeof $id === "string" && reference.startsWith(`${$id}#`);
  const local = isOwn ? reference.slice($id.length) : reference === $id ? "#" : reference;
  return local.startsWith("#") ? decoded(local.slice(1)) : undefined;
}

function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}
