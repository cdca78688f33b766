import type { JsonLimits } from "../limits.ts";
import { RequestError } from "../request-error.ts";
import type { JsonFault } from "./json-problems.ts";

/** The position of a fault in a JSON value. */
export type JsonPlace = {
  /** As `payload.items[3].id`; empty for the root of a message. */
  readonly path: string;
  /** The byte in the text, counted from 0; absent where there is no text. */
  readonly offset?: number;
};

/** Refuses a value for what a `JsonVerdict` found wrong. */
export function faultRefused(place: JsonPlace, fault: JsonFault): RequestError {
  return "problem" in fault ? invalidJson(place, fault.problem) : limitPassed(place, fault);
}

/** Refuses a value for a problem that completes a sentence with the path as its subject: "is given twice". */
export function invalidJson(place: JsonPlace, problem: string): RequestError {
  return new RequestError("INVALID_JSON", sentence(place, problem), {
    metadata: placeMetadata(place),
    violations: [{ field: place.path, description: problem }],
  });
}

/** Refuses a root of another kind than the rules ask for. */
export function rootRefused(place: JsonPlace): RequestError {
  const problem = "must be a JSON object; arrays, strings, numbers, booleans and null are not taken here";
  return new RequestError("VALIDATION_ERROR", sentence(place, problem), {
    metadata: placeMetadata(place),
    violations: [{ field: place.path, description: problem, rule: "json.object" }],
  });
}

/** Refuses a value that exceeds a limit. `value` is the count at that point. */
export function limitPassed(place: JsonPlace, passed: { limit: keyof JsonLimits; max: number; value: number }) {
  const rule = limitRules[passed.limit];
  return new RequestError(rule.reason, sentence(place, rule.problem(passed.max)), {
    metadata: {
      ...placeMetadata(place),
      limit: rule.name,
      max: String(passed.max),
      value: String(passed.value),
    },
  });
}

type LimitRule = {
  readonly reason: "PAYLOAD_TOO_LARGE" | "PAYLOAD_TOO_DEEP";
  readonly name: string;
  readonly problem: (max: number) => string;
};

const limitRules: Readonly<Record<keyof JsonLimits, LimitRule>> = {
  bytesMax: {
    reason: "PAYLOAD_TOO_LARGE",
    name: "bytes",
    problem: (max) => `is larger than ${max} bytes of JSON text; send less`,
  },
  valuesMax: {
    reason: "PAYLOAD_TOO_LARGE",
    name: "values",
    problem: (max) => `makes more than ${max} values in one text; send fewer`,
  },
  keysMax: {
    reason: "PAYLOAD_TOO_LARGE",
    name: "keys",
    problem: (max) => `has more than ${max} members; use an array or several objects`,
  },
  depthMax: {
    reason: "PAYLOAD_TOO_DEEP",
    name: "depth",
    problem: (max) => `is nested deeper than ${max} containers; flatten it`,
  },
};

/** Joins the steps from the root: identifiers after a dot, other names quoted in brackets. */
export function jsonPath(name: string, steps: readonly (string | number)[]): string {
  return steps.reduce<string>((path, step) => path + pathStep(step, path === ""), name);
}

function pathStep(step: string | number, isFirst: boolean): string {
  if (typeof step === "number") {
    return `[${step}]`;
  }
  if (/^[A-Za-z_$][\w$-]{0,63}$/.test(step)) {
    return isFirst ? step : `.${step}`;
  }
  const text = step.length > 64 ? `${step.slice(0, 64)}…` : step;
  return `[${JSON.stringify(text)}]`;
}

function sentence(place: JsonPlace, problem: string): string {
  const subject = place.path === "" ? "The JSON text" : place.path;
  const position = place.offset === undefined ? "" : ` (at byte ${place.offset})`;
  return `${subject} ${problem}${position}.`;
}

function placeMetadata(place: JsonPlace): Record<string, string> {
  return { field: place.path, ...(place.offset !== undefined && { offset: String(place.offset) }) };
}
