import type { JsonValue } from "@bufbuild/protobuf";
import jsonata from "jsonata";
import type { Limits } from "../../../domain/limits.ts";
import { createRegexEngine } from "../../regex/regex-engine.ts";
import { type QueryVisit, registerFunctions, visitFunctions } from "../functions/functions.ts";
import { QueryError } from "../functions/query-error.ts";
import type { TimeZones } from "../functions/time-zones.ts";
import { prepareAst } from "../syntax/prepare-ast.ts";
import type { Bindings } from "./bind-values.ts";
import type { StepWatch } from "./step-watch.ts";

/** The limits that a query is parsed and evaluated within. */
export type QueryLimits = Pick<Limits, "queryMs" | "output">;

/** A parsed query. It keeps nothing of a run, so many may run it at once. */
export type ParsedQuery = jsonata.Expression;

/** What one evaluation reads. Values in it are JSON, and free of the names by which JSONata knows functions. */
export type Evaluation = {
  readonly input: JsonValue | undefined;
  readonly bindings: Bindings;
  readonly visit: QueryVisit;
  readonly watch: StepWatch;
};

/**
 * How deep a query may nest while it runs. JSONata counts the members of an object that it builds side by side, so this
 * is far above what recursion needs: grouping into `keysMax` members must pass.
 */
const stackMax = 100_000;

/** A regular expression matches without pause, and the process does nothing else meanwhile. */
const regexMsMax = 1_000;

/** The name under which a query's own functions find its watch. No query can write a blank in a name. */
const watchName = " watch";
const exitHook = Symbol.for("jsonata.__evaluate_exit");

/**
 * Throws what JSONata does where the text is no query.
 *
 * @param zones those that it shares with other queries
 */
export function parseQuery(query: string, { queryMs, output }: QueryLimits, zones?: TimeZones): ParsedQuery {
  const expression = jsonata(query, {
    stack: stackMax,
    sequence: output.valuesMax,
    RegexEngine: createRegexEngine(Math.min(queryMs, regexMsMax)),
  });
  prepareAst(expression.ast());
  registerFunctions(expression, { padMax: output.bytesMax, zones });
  // JSONata calls this behind each step of an evaluation. Its types know text names only.
  expression.assign(exitHook as unknown as string, leaveStep);
  return expression;
}

/** Gives what JSONata does; rejects with what it, or the watch, throws. */
export async function evaluateQuery(query: ParsedQuery, { input, bindings, visit, watch }: Evaluation) {
  try {
    const result: unknown = await query.evaluate(input, { ...visitFunctions(visit), ...bindings, [watchName]: watch });
    return result;
  } finally {
    watch.stop();
  }
}

function leaveStep(node: object, _input: unknown, environment: jsonata.Environment, result: unknown): void {
  // The name is bound by `evaluateQuery` alone; while `$now` formats, nothing watches.
  const watch = environment.lookup(watchName) as StepWatch | undefined;
  watch?.leaveStep(node, result);
}

/** Of a range, and of any other list. */
const tooLongCodes: ReadonlySet<unknown> = new Set(["D2014", "D2015"]);

/** JSONata throws plain objects with a code and a message; an Error of JavaScript's own tells of its insides. */
export function queryMessage(error: unknown, { output }: Pick<QueryLimits, "output">): string {
  if (error instanceof QueryError || (error instanceof Error && !(error instanceof TypeError))) {
    return error.message;
  }
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
    // JSONata names a limit of its own, or what was asked for, and not the limit that was set.
    if (tooLongCodes.has(error.code)) {
      return `It makes a list of more than ${output.valuesMax} items (limit output.valuesMax)`;
    }
    return String(error.message);
  }
  return "its expression cannot be evaluated";
}
