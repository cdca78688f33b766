import type { JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";

export function typeOf(value: JsonValue): "null" | "boolean" | "number" | "string" | "array" | "object" {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  const type = typeof value;
  return type === "boolean" || type === "number" || type === "string" ? type : "object";
}

/**
 * One text for all values that are equal: without the order of members.
 *
 * @param spend told of each value and of the characters in it before they are joined, so that it can stop what is too much
 */
export function canonicalText(value: JsonValue, spend: (length: number) => void = () => undefined): string {
  if (Array.isArray(value)) {
    spend(0);
    return `[${value.map((item) => canonicalText(item, spend)).join(",")}]`;
  }
  if (!isObject(value)) {
    spend(typeof value === "string" ? value.length : 0);
    return JSON.stringify(value === 0 ? 0 : value);
  }
  const names = Object.keys(value);
  // A sort compares each name with some others.
  for (const name of names) spend(name.length * 2);
  spend(0);
  const members = names.sort().map((name) => `${JSON.stringify(name)}:${canonicalText(value[name] ?? null, spend)}`);
  return `{${members.join(",")}}`;
}

/** Exact, in decimal digits: 0.0075 is a multiple of 0.0001, which doubles do not show. */
export function isMultipleOf(value: number, divisor: number): boolean {
  const [left, right] = [decimalOf(value), decimalOf(divisor)];
  const exponent = Math.min(left.exponent, right.exponent);
  const whole = ({ digits, exponent: own }: Decimal) => digits * 10n ** BigInt(own - exponent);
  return whole(left) % whole(right) === 0n;
}

type Decimal = { readonly digits: bigint; readonly exponent: number };

function decimalOf(value: number): Decimal {
  const [, whole = "0", fraction = "", exponent = "0"] =
    /^-?(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value)) ?? [];
  return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length };
}
