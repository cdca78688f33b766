import type { JsonValue } from "@bufbuild/protobuf";
import { type PathPart, readOldPath, readPath } from "./value-path.ts";

/** What is shown in the place of what a workflow hides. */
export const redacted = "[REDACTED]";

/**
 * Replaces what the paths, as `result.*.skill` or `['a.b'][0]`, lead to. What a path led to when dots alone parted its names
 * is replaced too: nothing that was hidden once is shown.
 */
export function redactPaths(value: JsonValue, paths: readonly string[]): JsonValue {
  return paths
    .flatMap((path) => (path.includes("[") ? [readPath(path) ?? [], readOldPath(path)] : [readOldPath(path)]))
    .reduce((part, steps) => (steps.length === 0 ? part : redact(part, steps)), value);
}

/** Replaces what a path leads to. A `*` leads to every item or member, `['*']` to the one of that name. */
function redact(value: JsonValue, steps: readonly PathPart[], at = 0): JsonValue {
  const step = steps[at];
  if (step === undefined) return redacted;
  const isAny = step.name === "*" && !step.isQuoted;
  const within = (name: string, part: JsonValue) => (isAny || step.name === name ? redact(part, steps, at + 1) : part);
  if (Array.isArray(value)) return value.map((item, index) => within(String(index), item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, within(name, member)]));
}
