import type { Limits } from "../../domain/limits.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { type DataPlace, findData } from "../pool/data-texts.ts";
import type { RunTask } from "../pool/tasks.ts";
import { bindValues } from "../query/evaluate/bind-values.ts";
import { evaluateQuery, type ParsedQuery, parseQuery, queryMessage } from "../query/evaluate/evaluate-query.ts";
import { Deadline } from "../query/evaluate/step-watch.ts";
import type { QueryVisit } from "../query/functions/functions.ts";
import { TimeZones } from "../query/functions/time-zones.ts";
import { placeOfError } from "../query/syntax/error-position.ts";
import { checkOutput } from "../values/check-output.ts";
import { checkData } from "../values/reserved-names.ts";

export type QueryRequest = {
  readonly query: string;
  readonly visit: QueryVisit;
  readonly input: DataPlace;
  readonly bindings: readonly { readonly name: string; readonly form: "value" | "text"; readonly data: DataPlace }[];
};

/** The output is the only text beside the reply. A message of JSONata's names variables, which the reader knows. */
export type QueryReply =
  | { readonly kind: "output" }
  | { readonly kind: "query_error"; readonly message: string; readonly place?: number }
  | { readonly kind: "failure"; readonly reason: string; readonly message: string };

const messageMax = 4_000;

/** Evaluates queries, and checks what they give as `checkOutput` does. */
export function createQueryTask(limits: Limits): RunTask<"query"> {
  const { queryMs, output } = limits;
  const queries = new ParsedQueries(limits);
  return async ({ head, texts }) => {
    try {
      const find = findData(texts);
      const input = find(head.input);
      const values = head.bindings.map(({ name, form, data }) => ({ name, form, value: find(data) }));
      const bindings = bindValues(values, output.bytesMax);
      for (const root of [input, ...Object.values(bindings)]) if (root !== undefined) checkData(root);
      const watch = new Deadline({ queryMs, outputBytesMax: output.bytesMax });
      const evaluation = { input, bindings, visit: head.visit, watch };
      const result = await evaluateQuery(queries.get(head.query), evaluation);
      return { head: { kind: "output" }, texts: [checkOutput(result, output)] };
    } catch (error) {
      if (error instanceof NodeFailure) {
        return { head: { kind: "failure", reason: error.reason, message: error.message }, texts: [] };
      }
      const message = queryMessage(error, limits).slice(0, messageMax);
      const place = placeOfError(error, head.query);
      return { head: { kind: "query_error", message, ...(place !== undefined && { place }) }, texts: [] };
    }
  };
}

/** The queries that ran last, so that one that runs again and again is parsed once. */
class ParsedQueries {
  readonly #limits: Limits;
  readonly #queries = new Map<string, ParsedQuery>();
  readonly #zones = new TimeZones();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get(text: string): ParsedQuery {
    const query = this.#queries.get(text) ?? parseQuery(text, this.#limits, this.#zones);
    this.#queries.delete(text);
    if (text.length <= keptCharsMax) this.#queries.set(text, query);
    const [longestUnused] = this.#queries.keys();
    if (this.#queries.size > keptMax && longestUnused !== undefined) this.#queries.delete(longestUnused);
    return query;
  }
}

const keptMax = 50;
const keptCharsMax = 16 * 1024;
