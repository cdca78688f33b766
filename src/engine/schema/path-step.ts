import type { JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import { isIndex } from "../templates/reference.ts";

/** Any item of a list, as a step of a path. */
export const anyItem = Symbol("any item");

/** The name of a member, the index of an item, or any item. */
export type Step = string | typeof anyItem;

export type Path = readonly Step[];

/** Whether a value has something at a path. */
export function hasPath(value: JsonValue, [step, ...rest]: Path): boolean {
  if (step === undefined) {
    return true;
  }
  if (Array.isArray(value)) {
    const items = step === anyItem ? value : isIndex(step) ? value.slice(Number(step), Number(step) + 1) : [];
    return items.some((item) => hasPath(item, rest));
  }
  const member = step === anyItem ? undefined : memberOf(value, step);
  return member !== undefined && hasPath(member, rest);
}

/** The own member of an object. */
export function memberOf(json: JsonValue | undefined, name: string): JsonValue | undefined {
  return isObject(json) && Object.hasOwn(json, name) ? json[name] : undefined;
}

/** The items of a list; of anything else none. */
export function listOf(json: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(json) ? json : [];
}
