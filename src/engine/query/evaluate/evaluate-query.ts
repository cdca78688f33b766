import type { JsonValue } from "@bufbuild/protobuf";
import jsonata from "jsonata";
import type { Limits } from "../../../domain/limits.ts";
import { createRegexEngine } from "../../regex/regex-engine.ts";
import { contextFunctions, type QueryContext, registerFunctions } from "../functions/functions.ts";
import { exitHook } from "../functions/jsonata-hooks.ts";
import { QueryError } from "../functions/query-error.ts";
import type { TimeZones } from "../functions/time-zones.ts";
import { prepareAst } from "../syntax/prepare-ast.ts";
import type { Bindings } from "./bind-values.ts";
import type { StepWatch } from "./step-watch.ts";

/** The limits for parsing and evaluating a query. */
export type QueryLimits = Pick<Limits, "queryMs" | "output">;

/** A parsed query. It keeps nothing of a run, so many runs may share it. */
export type ParsedQuery = jsonata.Expression;

/** The input of one evaluation. Its values are JSON, without the reserved names by which JSONata recognises functions. */
export type EvaluationInput = {
  readonly input: JsonValue | undefined;
  readonly bindings: Bindings;
  readonly context: QueryContext;
  readonly watch: StepWatch;
};

/**
 * The depth of nesting at which JSONata stops. It counts the members of an object that it builds side by side as depth,
 * so the bound is far above any recursion: grouping into `keysMax` members must pass.
 */
const stackMax = 100_000;

/** One regular expression may match for this long in all, since a match cannot be interrupted. */
const regexMsMax = 1_000;

/** The variable that holds the evaluation's watch. A query cannot read it: no name in JSONata's syntax has a blank. */
const watchName = " watch";

/**
 * Parses a query. Throws what JSONata throws where the text is not a query.
 *
 * @param zones the cache of time zones that it shares with other queries
 */
export function parseQuery(query: string, { queryMs, output }: QueryLimits, zones?: TimeZones): ParsedQuery {
  const expression = jsonata(query, {
    stack: stackMax,
    sequence: output.valuesMax,
    RegexEngine: createRegexEngine(Math.min(queryMs, regexMsMax)),
  });
  prepareAst(expression.ast());
  registerFunctions(expression, { padMax: output.bytesMax, zones });
  // JSONata calls this hook after each step of an evaluation. Its types allow for string names only.
  expression.assign(exitHook as unknown as string, leaveStep);
  return expression;
}

/** Evaluates a query and gives JSONata's result. Rejects with what JSONata or the watch throws. */
export async function evaluateQuery(query: ParsedQuery, { input, bindings, context, watch }: EvaluationInput) {
  try {
    const variables = { ...contextFunctions(context), ...bindings, [watchName]: watch };
    const result: unknown = await query.evaluate(input, variables);
    return result;
  } finally {
    watch.stop();
  }
}

function leaveStep(node: object, _input: unknown, environment: jsonata.Environment, result: unknown): void {
  // Only `evaluateQuery` binds the name. A picture that `$now` formats is evaluated without a watch.
  const watch = environment.lookup(watchName) as StepWatch | undefined;
  watch?.leaveStep(node, result);
}

/** JSONata's codes for a range and for another list that is too long. */
const tooLongCodes: ReadonlySet<unknown> = new Set(["D2014", "D2015"]);

/** The message of an error of JSONata, which throws plain objects with a code. A TypeError would only expose its internals. */
export function queryMessage(error: unknown, { output }: Pick<QueryLimits, "output">): string {
  if (error instanceof QueryError || (error instanceof Error && !(error instanceof TypeError))) {
    return error.message;
  }
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
    // JSONata's own message names another limit than the one that is set here.
    if (tooLongCodes.has(error.code)) {
      return `It makes a list of more than ${output.valuesMax} items (limit output.valuesMax)`;
    }
    return String(error.message);
  }
  return "its expression cannot be evaluated";
}
