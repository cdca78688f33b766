import type { JsonValue } from "@bufbuild/protobuf";
import { type PathPart, readOldPath, readPath } from "./value-path.ts";

/** Stands in place of a value that a workflow hides. */
export const redacted = "[REDACTED]";

/**
 * Replaces the values at paths such as `result.*.skill` or `['a.b'][0]`. A path with brackets is read by the older grammar
 * too, where only dots separate names, so that what was hidden once stays hidden.
 */
export function redactPaths(value: JsonValue, paths: readonly string[]): JsonValue {
  return paths
    .flatMap((path) => (path.includes("[") ? [readPath(path) ?? [], readOldPath(path)] : [readOldPath(path)]))
    .reduce((part, steps) => (steps.length === 0 ? part : redact(part, steps)), value);
}

/** Replaces the values at a path. `*` matches each item or member, `['*']` only the member of that name. */
function redact(value: JsonValue, steps: readonly PathPart[], at = 0): JsonValue {
  const step = steps[at];
  if (step === undefined) {
    return redacted;
  }
  const isAny = step.name === "*" && !step.isQuoted;
  const within = (name: string, part: JsonValue) => (isAny || step.name === name ? redact(part, steps, at + 1) : part);
  if (Array.isArray(value)) {
    return value.map((item, index) => within(String(index), item));
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, within(name, member)]));
}
