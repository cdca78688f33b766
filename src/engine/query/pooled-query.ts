import type { JsonValue } from "@bufbuild/protobuf";
import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { type FailureReason, NodeFailure } from "../failure.ts";
import type { DataPlace } from "../pool/query-task.ts";
import type { TaskRequest } from "../pool/tasks.ts";
import type { BoundQuery, QueryData, QueryRun } from "./compile-query.ts";
import type { DataSizes } from "./data-size.ts";
import { overdueText } from "./step-watch.ts";

/** How a query ended in a child process. */
type PooledEnd =
  | { readonly kind: "output"; readonly text: string }
  /** JSONata's words, with the names of variables. */
  | { readonly kind: "query_error"; readonly message: string; readonly place?: number }
  | { readonly kind: "failure"; readonly failure: NodeFailure };

type PooledRun = QueryRun & { readonly sizes: DataSizes; readonly limits: Limits };

/** Runs a query in a child process, and waits until one is free. The node's time-out begins when the child does. */
export async function runInPool(query: BoundQuery, run: PooledRun): Promise<PooledEnd> {
  const { attempt, limits } = run;
  const timeout = attempt.openTimeout();
  try {
    const end = await attempt.pool.run("query", {
      request: () => requestOf(query, run),
      path: attempt.turn,
      signal: timeout.signal,
      onBegin: () => timeout.start(),
    });
    switch (end.kind) {
      case "reply": {
        const { head, texts } = end;
        if (head.kind === "output") return { kind: "output", text: texts[0] ?? "null" };
        if (head.kind === "query_error") return head;
        // What cannot be kept would not be kept the next time.
        const isFinal = head.reason !== "EXPRESSION_ERROR";
        // The child has it of a NodeFailure of its own.
        return failed(new NodeFailure(head.reason as FailureReason, head.message, { isFinal }));
      }
      case "overdue":
        return { kind: "query_error", message: overdueText(limits.queryMs) };
      case "out_of_memory": {
        const message = `The query needed more than ${limits.childHeapMib} MiB of memory (limit childHeapMib).`;
        return { kind: "query_error", message };
      }
      case "lost":
        return { kind: "query_error", message: "The process that ran it was lost twice." };
      default:
        return unreachable(end);
    }
  } finally {
    await timeout.close();
  }
}

function failed(failure: NodeFailure): PooledEnd {
  return { kind: "failure", failure };
}

function requestOf({ text, variables }: BoundQuery, { input, bound, attempt, sizes }: PooledRun): TaskRequest<"query"> {
  const { executionId, path, startTime } = attempt;
  const texts = new Texts(attempt.scope, sizes);
  const bindings = variables.map(({ name, form }, index) => ({ name, form, ...texts.place(bound[index]) }));
  const head = { query: text, visit: { executionId, path, startTime }, input: texts.place(input).data, bindings };
  return { head, texts: texts.all };
}

/** The JSON texts of what a query reads. Where a text is known it is sent as it is: to write a large value takes time. */
class Texts {
  readonly all: string[] = [];
  readonly #scope: QueryRun["attempt"]["scope"];
  readonly #sizes: DataSizes;
  readonly #places = new Map<string, number>();

  constructor(scope: QueryRun["attempt"]["scope"], sizes: DataSizes) {
    this.#scope = scope;
    this.#sizes = sizes;
  }

  place(data: QueryData | undefined): { readonly data?: DataPlace } {
    if (data?.value === undefined) return {};
    const { value, reference } = data;
    const isLarge = this.#sizes.of(value) === Number.POSITIVE_INFINITY;
    const root =
      reference && (isLarge || reference.path.length === 0) ? this.#scope.textOf(reference.source) : undefined;
    if (root === undefined) return { data: { text: this.#add(JSON.stringify(value satisfies JsonValue)), path: [] } };
    return { data: { text: this.#add(root), path: reference?.path ?? [] } };
  }

  #add(text: string): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    this.#places.set(text, this.all.length);
    return this.all.push(text) - 1;
  }
}
