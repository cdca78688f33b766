import type { Limits } from "../../domain/limits.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { resolveData } from "../pool/data-texts.ts";
import type { RunTask } from "../pool/tasks.ts";
import { bindValues } from "../query/evaluate/bind-values.ts";
import { evaluateQuery, type ParsedQuery, parseQuery, queryMessage } from "../query/evaluate/evaluate-query.ts";
import { QueryDeadline } from "../query/evaluate/step-watch.ts";
import { TimeZones } from "../query/functions/time-zones.ts";
import { errorOffset } from "../query/syntax/error-position.ts";
import { checkOutput } from "../values/check-output.ts";
import { refuseReservedNames } from "../values/reserved-names.ts";

const messageMax = 4_000;

/** Evaluates queries, and checks their results as `checkOutput` does. */
export function createQueryTask(limits: Limits): RunTask<"query"> {
  const { queryMs, output } = limits;
  const queries = new QueryCache(limits);
  return async ({ head, texts }) => {
    try {
      const resolve = resolveData(texts);
      const input = resolve(head.input);
      const values = head.bindings.map(({ name, form, data }) => ({ name, form, value: resolve(data) }));
      const bindings = bindValues(values, output.bytesMax);
      for (const root of [input, ...Object.values(bindings)]) {
        if (root !== undefined) {
          refuseReservedNames(root);
        }
      }
      const watch = new QueryDeadline({ queryMs, outputBytesMax: output.bytesMax });
      const result = await evaluateQuery(queries.get(head.query), { input, bindings, context: head.context, watch });
      return { head: { kind: "output" }, texts: [checkOutput(result, output)] };
    } catch (error) {
      if (error instanceof NodeFailure) {
        return { head: { kind: "failure", reason: error.reason, message: error.message }, texts: [] };
      }
      const message = queryMessage(error, limits).slice(0, messageMax);
      const offset = errorOffset(error, head.query);
      return { head: { kind: "query_error", message, ...(offset !== undefined && { offset }) }, texts: [] };
    }
  };
}

/** An LRU cache of parsed queries, so that a query that runs often is parsed once. */
class QueryCache {
  readonly #limits: Limits;
  readonly #queries = new Map<string, ParsedQuery>();
  readonly #zones = new TimeZones();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get(text: string): ParsedQuery {
    const query = this.#queries.get(text) ?? parseQuery(text, this.#limits, this.#zones);
    this.#queries.delete(text);
    if (text.length <= keptCharsMax) {
      this.#queries.set(text, query);
    }
    const [leastRecentlyUsed] = this.#queries.keys();
    if (this.#queries.size > queriesMax && leastRecentlyUsed !== undefined) {
      this.#queries.delete(leastRecentlyUsed);
    }
    return query;
  }
}

const queriesMax = 50;

/** Longer queries are not kept. */
const keptCharsMax = 16 * 1024;
