import type { JsonValue } from "@bufbuild/protobuf";
import { NodeFailure } from "../errors/node-failure.ts";

/**
 * Refuses data with one of the two member names by which JSONata recognises functions. Without this check, a payload could
 * inject code into a query.
 */
export function refuseReservedNames(value: JsonValue): void {
  const waiting: JsonValue[] = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== "object" || next === null) {
      continue;
    }
    if (Object.keys(next).some(isReservedName)) {
      throw new NodeFailure(
        "EXPRESSION_ERROR",
        "The query's data has a member named _jsonata_lambda or _jsonata_function, which JSONata reserves. Rename the member.",
      );
    }
    for (const child of Object.values(next)) {
      waiting.push(child);
    }
  }
}

/** Whether JSONata takes an object with a member of this name for a function. */
export function isReservedName(name: string): boolean {
  return name.startsWith("_jsonata_") && (name === "_jsonata_lambda" || name === "_jsonata_function");
}
