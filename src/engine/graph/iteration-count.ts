import type { JsonValue } from "@bufbuild/protobuf";
import { parseDecimal } from "../values/decimal.ts";

/** Reads the number of iterations of a Group: a whole number from 0, or a string of one. Undefined where it is neither. */
export function iterationCount(value: JsonValue): number | undefined {
  const count = typeof value === "string" && parseDecimal(value.trim()) ? Number(value) : value;
  return typeof count === "number" && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}
