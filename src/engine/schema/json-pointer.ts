import type { JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";

/**
 * The schema of a document that a reference leads to by its place, as `#/$defs/item`. Undefined for one that is not there,
 * and for an anchor, which is no place.
 */
export function referredIn(root: JsonValue, reference: string): JsonValue | undefined {
  const steps = pointerOf(root, reference);
  let json: JsonValue | undefined = steps === undefined ? undefined : root;
  for (const step of steps ?? []) {
    if (Array.isArray(json)) json = json[Number(step)];
    else json = isObject(json) && Object.hasOwn(json, step) ? json[step] : undefined;
  }
  return json;
}

/** The steps of a JSON Pointer (RFC 6901) in the fragment of a reference into the same document. */
export function pointerOf(root: JsonValue, reference: string): readonly string[] | undefined {
  const fragment = fragmentOf(root, reference);
  if (fragment === undefined || (fragment !== "" && !fragment.startsWith("/"))) return undefined;
  return fragment
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** What stands behind the `#` of a reference into the same document; undefined where it leads elsewhere. */
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
