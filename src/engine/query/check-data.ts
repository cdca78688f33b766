import type { JsonValue } from "@bufbuild/protobuf";
import { NodeFailure } from "../failure.ts";

/**
 * Refuses data with one of the two member names by which JSONata tells functions from data. Without this a payload
 * could bring code of its own.
 *
 * @param checked what has passed before; nodes share their data, and each container is looked at once
 */
export function checkData(value: JsonValue, checked: WeakSet<object>): void {
  const waiting: JsonValue[] = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== "object" || next === null || checked.has(next)) {
      continue;
    }
    if (Object.hasOwn(next, "_jsonata_lambda") || Object.hasOwn(next, "_jsonata_function")) {
      throw new NodeFailure(
        "EXPRESSION_ERROR",
        "The query's data has a member named _jsonata_lambda or _jsonata_function. JSONata keeps these names to itself.",
      );
    }
    for (const child of Object.values(next)) {
      waiting.push(child);
    }
    checked.add(next);
  }
}
