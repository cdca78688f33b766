import type jsonata from "jsonata";
import { DateFunctions } from "./date-functions.ts";
import type { FunctionContext } from "./jsonata-hooks.ts";
import { mergeSort } from "./merge-sort.ts";
import { QueryError } from "./query-error.ts";
import { createSeededRandom } from "./seeded-random.ts";
import { decodeBase64, encodeBase64, hash, parseJsonText, uuidOf } from "./text-functions.ts";
import type { TimeZones } from "./time-zones.ts";

/** The node run that a query belongs to. The same context always gives the same result. */
export type QueryContext = {
  readonly executionId: string;
  /** The node's path in the run, as `4[12]/7`. */
  readonly path: string;
  /** Milliseconds since 1970. */
  readonly startTime: number;
};

/** The variable that holds the start of the node run. A query cannot read it: no name in JSONata's syntax has a blank. */
const startTimeName = " start";

function startTimeOf({ environment }: FunctionContext): number {
  // `contextFunctions` binds it.
  return environment.lookup(startTimeName) as number;
}

/**
 * The functions that make a query pure, so that a replay computes the same again: `$now` and `$millis` give the start of the
 * node run, and `$random`, `$shuffle` and `$uuid` are seeded from the execution and the node.
 */
export function contextFunctions(context: QueryContext): Record<string, unknown> {
  let random: (() => number) | undefined;
  let uuids = 0;
  const nextRandom = () => {
    random ??= createSeededRandom(`${context.executionId}\n${context.path}`);
    return random();
  };
  return {
    [startTimeName]: context.startTime,
    uuid: () => {
      uuids += 1;
      return uuidOf(`${context.executionId}\n${context.path}\n${uuids}`);
    },
    millis: () => context.startTime,
    random: nextRandom,
    shuffle: function shuffle(array: unknown) {
      return array === undefined ? undefined : shuffled(Array.isArray(array) ? array : [array], nextRandom);
    },
  };
}

/**
 * Replaces the functions of JSONata that evaluate data, that take quadratic time, or that run long without a step at which
 * they could be stopped.
 *
 * @param padMax the length of the longest text that `$pad` makes
 */
export function registerFunctions(
  expression: jsonata.Expression,
  { padMax, zones }: { readonly padMax: number; readonly zones: TimeZones | undefined },
): void {
  registerDates(expression, new DateFunctions(zones));
  // JSONata reads parameter names from the source text of a function, so these have no defaults and no patterns.
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
  expression.registerFunction("base64encode", encodeBase64, "<s-:s>");
  expression.registerFunction("base64decode", decodeBase64, "<s-:s>");
  expression.registerFunction("hash", hash, "<ss?s?:s>");
  expression.registerFunction("parseJson", parseJsonText, "<s:x>");
  expression.registerFunction("sort", mergeSort, "<af?:a>");
  expression.registerFunction(
    "distinct",
    (value: unknown) => (Array.isArray(value) ? distinct(value) : value),
    "<x:x>",
  );
}

function registerDates(expression: jsonata.Expression, dates: DateFunctions): void {
  expression.registerFunction(
    "now",
    function now(this: FunctionContext, picture: string | undefined, zone: string | undefined) {
      return dates.format(startTimeOf(this), picture, zone);
    },
    "<s?s?:s>",
  );
  expression.registerFunction(
    "fromMillis",
    (millis: number | undefined, picture: string | undefined, zone: string | undefined) =>
      millis === undefined ? undefined : dates.format(millis, picture, zone),
    "<n-s?s?:s>",
  );
  expression.registerFunction(
    "toMillis",
    function toMillis(
      this: FunctionContext,
      text: string | undefined,
      picture: string | undefined,
      zone: string | undefined,
    ) {
      return text === undefined ? undefined : dates.parse(text, { picture, zone, now: startTimeOf(this) });
    },
    "<s-s?s?:n>",
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

/** Counts widths and lengths in code points, as JSONata's own function does. */
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

/** Values in all items together: some tens of times the limit of an output. */
const distinctMax = 1_000_000;

/** Keeps the first of equal items. Takes time linear in the size of the items, where JSONata's own compares all pairs. */
function distinct(array: readonly unknown[]): unknown[] {
  const seen = new Map<string, unknown>();
  let values = 0;
  // A value that refers to one part many times is small in memory, but its text is not.
  const inOrder = (_: string, value: unknown) => {
    values += 1;
    if (values > distinctMax) {
      throw new QueryError(`$distinct cannot compare more than ${distinctMax} values.`);
    }
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
