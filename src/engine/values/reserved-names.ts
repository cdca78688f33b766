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
    if (isReservedObject(next)) {
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

export function isReservedObject(value: object): boolean {
  return Object.hasOwn(value, "_jsonata_lambda") || Object.hasOwn(value, "_jsonata_function");
}
