import type { JsonValue } from "@bufbuild/protobuf";

/** What is shown in the place of what a workflow hides. */
export const redacted = "[REDACTED]";

/** Replaces what the paths, as `result.*.skill`, lead to. */
export function redactPaths(value: JsonValue, paths: readonly string[]): JsonValue {
  return paths.reduce((part, path) => redact(part, path.split(".")), value);
}

/** Replaces what a path leads to. A `*` leads to every item or member. */
function redact(value: JsonValue, steps: readonly string[], at = 0): JsonValue {
  const step = steps[at];
  if (step === undefined) return redacted;
  const within = (name: string, part: JsonValue) =>
    step === "*" || step === name ? redact(part, steps, at + 1) : part;
  if (Array.isArray(value)) return value.map((item, index) => within(String(index), item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, within(name, member)]));
}
