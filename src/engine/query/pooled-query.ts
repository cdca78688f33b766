import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { type FailureReason, NodeFailure } from "../errors/node-failure.ts";
import { type Data, DataTexts } from "../pool/data-texts.ts";
import type { TaskRequest } from "../pool/tasks.ts";
import type { DataSizes } from "../values/data-size.ts";
import type { BoundQuery, QueryRun } from "./compile-query.ts";
import { overdueText } from "./evaluate/step-watch.ts";

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
  const texts = new DataTexts(attempt.scope, sizes);
  const placeOf = (data: Data | undefined) => (data === undefined ? undefined : texts.place(data));
  const bindings = variables.map(({ name, form }, index) => ({ name, form, data: placeOf(bound[index]) }));
  const head = { query: text, visit: { executionId, path, startTime }, input: placeOf(input), bindings };
  return { head, texts: texts.all };
}
