/*
 * `flowcall/client`: runs workflows of a Flowcall server, by its REST API and `fetch` alone, so that it needs no library and
 * works in Node, Deno, Bun and browsers.
 *
 * - Each call of a workflow has an idempotency key, so that a call without an answer is repeated and runs the workflow once.
 * - A workflow that fails is a result, not an error: FlowcallError is for calls that the server refuses.
 */
import { readEvents } from "./event-source.ts";
import { FlowcallError } from "./flowcall-error.ts";
import { objectOf, pause, type Request, send, type Target } from "./http.ts";
import type { AnyWorkflows, ExecutionError, ExecutionEvent, Json, Result, Workflows } from "./types.ts";

export type { ExecutionError, ExecutionEvent, Json, NodeRun, Result, Workflows, WorkflowTypes } from "./types.ts";
export { FlowcallError };

export type FlowcallOptions = {
  /** The server, such as `https://flows.example.com`. */
  readonly url: string;
  readonly key: string;
  /** The linked account of calls that name none. */
  readonly account?: string;
  /** For how many milliseconds a call is repeated that gets no answer; 30,000 if absent. */
  readonly retryMs?: number;
  /** Another `fetch`, with a proxy or a CA of its own. */
  readonly fetch?: typeof fetch;
};

export type CallOptions = {
  /** The linked account, the customer of yours that the workflow runs for. */
  readonly account?: string;
  /** Ends the waiting, not the execution. */
  readonly signal?: AbortSignal;
};

export type RunOptions = CallOptions & {
  /** How many seconds to wait for the end; without limit if absent, and 0 not at all. */
  readonly wait?: number;
  /** The same key is the same execution, however often it is called; random if absent. */
  readonly idempotencyKey?: string;
  /** The integration of the workflow, where its alias is ambiguous. */
  readonly slug?: string;
  /** A published version instead of the current one. */
  readonly version?: number;
  readonly configId?: string;
  /** A label to find the execution by. */
  readonly tag?: string;
};

/** The longest wait of one call, in seconds. */
const waitMax = 50;

/** Calls one server with one key. It holds no connection, and need not be closed. */
export class Flowcall<Known extends Workflows = AnyWorkflows> {
  readonly #target: Target;
  readonly #account: string | undefined;

  constructor({ url, key, account, retryMs = 30_000, fetch: ownFetch = fetch }: FlowcallOptions) {
    this.#target = { url: url.replace(/\/+$/, ""), key, retryMs, fetch: ownFetch };
    this.#account = account;
  }

  /** Runs a workflow, by its alias or id, and waits for its end. */
  async run<Alias extends keyof Known & string>(
    workflow: Alias,
    payload: Known[Alias]["payload"],
    options: RunOptions = {},
  ): Promise<Result<Known[Alias]["value"]>> {
    const { wait = Number.POSITIVE_INFINITY, idempotencyKey = crypto.randomUUID(), signal } = options;
    const endTime = Date.now() + 1_000 * wait;
    const { slug, version, configId, tag } = options;
    const reply = await this.#send({
      method: "POST",
      path: `/workflow/${encodeURIComponent(workflow)}/execute`,
      headers: {
        "content-type": "application/json",
        "idempotency-key": idempotencyKey,
        prefer: `wait=${secondsUntil(endTime)}`,
        linked_account_id: this.#accountOf(options),
        slug,
        workflow_version: version?.toString(),
        config_id: configId,
        tag,
      },
      body: JSON.stringify(payload),
      signal,
    });
    const result = await resultOf<Known[Alias]["value"]>(reply);
    return result.status === "RUNNING" ? await this.#waitFor(result, endTime, options) : result;
  }

  /** The result of an execution, whose end is waited for as in `run`. */
  async result<Value = Json>(
    id: string,
    options: CallOptions & { readonly wait?: number } = {},
  ): Promise<Result<Value>> {
    const endTime = Date.now() + 1_000 * (options.wait ?? Number.POSITIVE_INFINITY);
    return await this.#ask<Value>(id, endTime, options);
  }

  /** What happens in an execution, from its beginning: each event once, in order, however often the connection breaks. */
  async *watch(id: string, { signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<ExecutionEvent> {
    const path = `/execution/${encodeURIComponent(id)}/events`;
    let last: string | undefined;
    for (let pauseMs = 100; ; pauseMs = Math.min(2 * pauseMs, 10_000)) {
      const reply = await this.#send({ method: "GET", path, headers: { "last-event-id": last }, signal });
      try {
        for await (const event of reply.body === null ? [] : readEvents(reply.body)) {
          last = event.id;
          pauseMs = 100;
          yield event;
          if (event.type === "ended") {
            return;
          }
        }
      } catch (error) {
        // Anything else is a connection that broke.
        if (error instanceof FlowcallError && error.status < 500) {
          throw error;
        }
        signal?.throwIfAborted();
      }
      await pause(pauseMs * (0.5 + Math.random()), signal);
    }
  }

  /** Ends an execution, wherever it runs. Answers false where it had ended before. */
  async stop(id: string, { account, signal }: CallOptions = {}): Promise<boolean> {
    const headers = { linked_account_id: account ?? this.#account };
    try {
      const path = `/execution/${encodeURIComponent(id)}/stop`;
      const reply = await this.#send({ method: "POST", path, headers, signal });
      await reply.body?.cancel();
      return true;
    } catch (error) {
      if (error instanceof FlowcallError && error.code === "EXECUTION_ENDED") {
        return false;
      }
      throw error;
    }
  }

  async #waitFor<Value>(running: Result<Value>, endTime: number, options: CallOptions): Promise<Result<Value>> {
    return secondsUntil(endTime) === 0 ? running : await this.#ask<Value>(running.id, endTime, options);
  }

  async #ask<Value>(id: string, endTime: number, options: CallOptions): Promise<Result<Value>> {
    const headers = { linked_account_id: this.#accountOf(options) };
    for (;;) {
      const path = `/execution/${encodeURIComponent(id)}/response?wait=${secondsUntil(endTime)}`;
      const result = await resultOf<Value>(await this.#send({ method: "GET", path, headers, signal: options.signal }));
      if (result.status !== "RUNNING" || secondsUntil(endTime) === 0) {
        return result;
      }
    }
  }

  async #send(request: Request): Promise<Response> {
    return await send(this.#target, request);
  }

  /** Throws where no account is named: one is never guessed. */
  #accountOf({ account = this.#account }: CallOptions): string {
    if (account === undefined) {
      throw new TypeError("Name the linked account, in the options of the call or of the client.");
    }
    return account;
  }
}

function secondsUntil(endTime: number): number {
  return Math.max(0, Math.min(waitMax, Math.ceil((endTime - Date.now()) / 1_000)));
}

/** Reads what a call of a workflow, or a question for its response, is answered. The header decides: a workflow may set any status. */
async function resultOf<Value>(reply: Response): Promise<Result<Value>> {
  const body = (await objectOf(reply)) ?? {};
  const status = reply.headers.get("x-execution-status");
  const id = reply.headers.get("x-execution-id") ?? String(body["execution_id"]);
  switch (status) {
    case "COMPLETED":
      // The workflow's own schema says what it is, or the caller does.
      return { status, id, value: (body["return_value"] ?? body["response"] ?? null) as Value };
    case "RUNNING":
      return { status, id };
    case "ERRORED":
      // The server's message for a failed execution.
      return { status, id, error: body["error"] as ExecutionError };
    default:
      throw new FlowcallError(reply.status, { message: `The server at ${reply.url} is no Flowcall server.` });
  }
}
