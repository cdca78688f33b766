import jsonata from "jsonata";
import { createSeededRandom } from "./seeded-random.ts";
import { sort } from "./sort.ts";

/** What a query may know of the visit it runs in. */
export type QueryVisit = {
  readonly executionId: string;
  /** The node's path in the run, as `4[12]/7`. */
  readonly path: string;
  /** Milliseconds since 1970. */
  readonly startTime: number;
};

/** A text that the author of a query can act on, thrown by a function of ours. */
export class QueryError extends Error {}

/**
 * The functions that make a query pure: the same visit always computes the same. `$now` and `$millis` are the node's
 * start, `$random` and `$shuffle` follow from the execution and the node.
 */
export function visitFunctions(visit: QueryVisit): Record<string, unknown> {
  let random: (() => number) | undefined;
  const nextRandom = () => {
    random ??= createSeededRandom(`${visit.executionId}\n${visit.path}`);
    return random();
  };
  return {
    now: function now(picture: unknown, timezone: unknown) {
      const formatter = jsonata("$fromMillis($millis, $picture, $timezone)");
      return formatter.evaluate(null, { millis: visit.startTime, picture, timezone });
    },
    millis: () => visit.startTime,
    random: nextRandom,
    shuffle: function shuffle(array: unknown) {
      return array === undefined ? undefined : shuffled(Array.isArray(array) ? array : [array], nextRandom);
    },
  };
}

/**
 * Replaces functions of JSONata that evaluate data, or that would run long where no limit is asked.
 *
 * @param padMax the longest text that `$pad` makes
 */
export function registerFunctions(expression: jsonata.Expression, padMax: number): void {
  // JSONata reads the parameters' names from a function's text, so these have neither defaults nor patterns.
  expression.registerFunction(
    "eval",
    () => {
      throw new QueryError("$eval is switched off: data is never evaluated.");
    },
    "<sx?:x>",
  );
  expression.registerFunction(
    "pad",
    function padTo(text: string | undefined, width: number, characters: string | undefined) {
      return text === undefined ? undefined : pad(text, Math.trunc(width), characters || " ", padMax);
    },
    "<s-ns?:s>",
  );
  expression.registerFunction("sort", sort, "<af?:a>");
  expression.registerFunction(
    "distinct",
    (value: unknown) => (Array.isArray(value) ? distinct(value) : value),
    "<x:x>",
  );
}

function shuffled(array: readonly unknown[], nextRandom: () => number): unknown[] {
  const result = [...array];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const chosen = Math.floor(nextRandom() * (last + 1));
    [result[last], result[chosen]] = [result[chosen], result[last]];
  }
  return result;
}

/** Widths and lengths count code points, as JSONata's own function does. */
function pad(text: string, width: number, characters: string, padMax: number): string {
  if (Math.abs(width) > padMax) {
    throw new QueryError(`$pad cannot make a text of more than ${padMax} characters.`);
  }
  const missing = Math.abs(width) - [...text].length;
  if (missing <= 0) {
    return text;
  }
  const cycle = [...characters];
  const padding = Array.from({ length: missing }, (_, index) => cycle[index % cycle.length]).join("");
  return width > 0 ? text + padding : padding + text;
}

/** Values in all items together: some tens of times as many as an output may have. */
const distinctMax = 1_000_000;

/** Keeps the first of equal items, in time linear in their size. */
function distinct(array: readonly unknown[]): unknown[] {
  const seen = new Map<string, unknown>();
  let values = 0;
  // A value that names the same part many times is small, and its text is not.
  const inOrder = (_: string, value: unknown) => {
    values += 1;
    if (values > distinctMax) throw new QueryError(`$distinct cannot compare more than ${distinctMax} values.`);
    return isObject(value) ? sortedMembers(value) : value;
  };
  for (const item of array) {
    const key = JSON.stringify(item, inOrder) ?? "";
    if (!seen.has(key)) {
      seen.set(key, item);
    }
  }
  return [...seen.values()];
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sortedMembers(object: object): object {
  return Object.fromEntries(Object.entries(object).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}
