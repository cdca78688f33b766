import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { type FailureReason, NodeFailure } from "../errors/node-failure.ts";
import { type Data, DataTexts } from "../pool/data-texts.ts";
import type { TaskRequest } from "../pool/tasks.ts";
import type { DataSizes } from "../values/data-size.ts";
import { overdueMessage } from "./evaluate/step-watch.ts";
import type { BoundQuery, QueryRun } from "./query-run.ts";

/** How a query ended in a child process. */
type PooledEnd =
  | { readonly kind: "output"; readonly text: string }
  /** The message names variables, as JSONata does; the offset is one in the bound query. */
  | { readonly kind: "query_error"; readonly message: string; readonly offset?: number }
  | { readonly kind: "failure"; readonly failure: NodeFailure };

type PooledRun = QueryRun & { readonly sizes: DataSizes; readonly limits: Limits };

/** Runs a query in a child process. The node's time-out starts when the child starts, not while the task waits for one. */
export async function runInPool(query: BoundQuery, run: PooledRun): Promise<PooledEnd> {
  const { attempt, limits } = run;
  const timeout = attempt.openTimeout();
  try {
    const end = await attempt.work(() =>
      attempt.pool.run("query", {
        request: () => requestOf(query, run),
        path: attempt.tenantPath,
        signal: timeout.signal,
        onBegin: () => timeout.start(),
      }),
    );
    switch (end.kind) {
      case "reply": {
        const { head, texts } = end;
        if (head.kind === "output") {
          return { kind: "output", text: texts[0] ?? "null" };
        }
        if (head.kind === "query_error") {
          return head;
        }
        // An output that is too large or not JSON would be so again.
        const isFinal = head.reason !== "EXPRESSION_ERROR";
        // The child took the reason from a NodeFailure.
        const failure = new NodeFailure(head.reason as FailureReason, head.message, { isFinal });
        return { kind: "failure", failure };
      }
      case "overdue":
        return { kind: "query_error", message: overdueMessage(limits.queryMs) };
      case "out_of_memory": {
        const message = `The query needed more than ${limits.childHeapMib} MiB of memory (limit childHeapMib).`;
        return { kind: "query_error", message };
      }
      case "lost":
        return { kind: "query_error", message: "The child process that ran the query died twice. Try again." };
      default:
        return unreachable(end);
    }
  } finally {
    timeout.close();
  }
}

function requestOf({ text, variables }: BoundQuery, { input, bound, attempt, sizes }: PooledRun): TaskRequest<"query"> {
  const { executionId, path, startTime } = attempt;
  const texts = new DataTexts(attempt.scope, sizes);
  const pointerOf = (data: Data | undefined) => (data === undefined ? undefined : texts.add(data));
  const bindings = variables.map(({ name, form }, index) => ({ name, form, data: pointerOf(bound[index]) }));
  const context = { executionId, path, startTime };
  return { head: { query: text, context, input: pointerOf(input), bindings }, texts: texts.all };
}
