import { createHash } from "node:crypto";
import type { JsonValue } from "@bufbuild/protobuf";
import type { Clock } from "../../domain/clock.ts";
import type { NewExecution } from "../../domain/execution.ts";
import { checkJson } from "../../domain/json/json-check.ts";
import { jsonTextOf } from "../../domain/json/json-parse.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { GraphNode } from "../../engine/graph/graph.ts";
import type { WebhookRules } from "../../engine/nodes/leaf.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import { nodeAt } from "../../engine/seeds/seed-from-retry.ts";
import type { SignalSet, SignalStore } from "../../storage/executions/signals.ts";
import type { ExecutionQuery, ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { Notifier } from "../../storage/postgres/notifier.ts";
import { keysMissing } from "../accept/call-errors.ts";
import type { Sealing } from "../encryption/sealing.ts";
import { sealSignal } from "../encryption/signal-values.ts";
import type { SchedulerEvents } from "../run/scheduler-events.ts";
import type { VersionCache } from "../run/version-cache.ts";
import { announceSignal } from "./announce-signal.ts";
import { CallRate } from "./call-rate.ts";

/** What a wait is to end with. */
export type Resumption = {
  /** The path of the node. */
  readonly path: string;
  readonly body: JsonValue;
  /** By lower-case name: those that the node's output shows. */
  readonly headers: Readonly<Record<string, string>>;
  /** Says whether a call has a header with this value; absent for a caller who has shown an API key. */
  readonly hasHeader?: (name: string, value: string) => boolean;
  readonly signal: AbortSignal;
};

export type NodeResumerOptions = {
  readonly signals: Pick<SignalStore, "set">;
  readonly reader: Pick<ExecutionReader, "getStart">;
  readonly versions: Pick<VersionCache, "get">;
  readonly pool: Pick<ProcessPool, "run">;
  readonly sealing: Sealing;
  readonly events: SchedulerEvents;
  readonly notifier: Pick<Notifier, "notify">;
  readonly limits: Limits;
  readonly clock: Clock;
};

/** Ends the waits of nodes from outside. What a caller says is durable before it is answered, and early callers count too. */
export class NodeResumer {
  readonly #options: NodeResumerOptions;
  readonly #rate: CallRate;

  constructor(options: NodeResumerOptions) {
    this.#options = options;
    this.#rate = new CallRate(options.clock);
  }

  /**
   * Answers the id of the execution. Throws RequestError: RESOURCE_NOT_FOUND, TOO_MANY_REQUESTS, WEBHOOK_HEADERS_WRONG,
   * PAYLOAD_INVALID, PAYLOAD_TOO_LARGE, WEBHOOK_ALREADY_RECEIVED, WAIT_ENDED.
   */
  async resume(query: ExecutionQuery, { path, body, ...call }: Resumption): Promise<string> {
    const { signals, reader, versions, limits } = this.#options;
    if (call.hasHeader !== undefined) {
      this.#rate.take(`${query.executionId}/${path}`);
    }
    const execution = await reader.getStart(query);
    const graph = execution && (await versions.get(execution, execution.workflowId, execution.version));
    const node = graph && isCanonical(path, limits) ? nodeAt(graph, path) : undefined;
    const rules = node && rulesOf(node);
    if (execution === undefined || node === undefined || rules === undefined) {
      throw waitNotFound({ executionId: query.executionId, path });
    }
    if (call.hasHeader !== undefined && !rules.headers.every(([name, value]) => call.hasHeader?.(name, value))) {
      throw RequestError.of("WEBHOOK_HEADERS_WRONG");
    }
    await this.#checkBody(execution, rules, body, call.signal);
    const secret = new Set(rules.headers.map(([name]) => name));
    const headers = Object.fromEntries(Object.entries(call.headers).filter(([name]) => !secret.has(name)));
    const { id: executionId, environmentId } = execution;
    const set = await signals.set({
      environmentId,
      executionId,
      name: path,
      value: this.#valueOf(node, { executionId, name: path }, { body, headers }),
      digest: createHash("sha256").update(JSON.stringify(body)).digest("base64url"),
    });
    this.#announce(executionId, set);
    return executionId;
  }

  async #checkBody(execution: NewExecution, { validator }: WebhookRules, body: JsonValue, signal: AbortSignal) {
    if (validator === undefined) {
      return;
    }
    const { pool, limits } = this.#options;
    const text = jsonTextOf(body, { name: "payload", limits: limits.payload });
    const { organizationId, environmentId } = execution;
    await validator.check({ payload: body, text, pool, path: [organizationId, environmentId], signal });
  }

  /** Checked here, since nobody is there to be told when the node goes on. */
  #valueOf(
    { isHidden }: GraphNode,
    place: { executionId: string; name: string },
    value: { body: JsonValue; headers: Resumption["headers"] },
  ) {
    const { sealing, limits } = this.#options;
    const text = checkJson({ ...value, timed_out: false }, { name: "output", limits: limits.output });
    if (!isHidden) {
      return text;
    }
    if (!sealing.canSeal) {
      throw keysMissing();
    }
    return sealSignal(sealing, place, text);
  }

  #announce(executionId: string, set: SignalSet): void {
    switch (set) {
      case "set":
        announceSignal(this.#options, executionId);
        return;
      case "repeated":
        return;
      case "taken":
        throw RequestError.of("WEBHOOK_ALREADY_RECEIVED", { metadata: { execution_id: executionId } });
      case "closed":
      case "ended":
        throw RequestError.of("WAIT_ENDED", { metadata: { execution_id: executionId } });
      case "full":
        throw new RequestError("TOO_MANY_REQUESTS", "The execution keeps as many calls as it may (limit signals).", {
          metadata: { execution_id: executionId, limit: "signals" },
        });
      default:
        unreachable(set);
    }
  }
}

function rulesOf({ step }: GraphNode): WebhookRules | undefined {
  return step.kind === "leaf" ? step.leaf.webhook : undefined;
}

/** Whether a path is written as a run writes it, with iterations that there can be: each wait has one name. */
function isCanonical(path: string, { groupIterationsMax }: Pick<Limits, "groupIterationsMax">): boolean {
  return [...path.matchAll(/\[(\d+)\]/g)].every(
    ([, index = ""]) => Number(index) < groupIterationsMax && String(Number(index)) === index,
  );
}

function waitNotFound({ executionId, path }: { readonly executionId: string; readonly path: string }): RequestError {
  return new RequestError("RESOURCE_NOT_FOUND", "The execution has no Wait for Webhook node of this id.", {
    metadata: { execution_id: executionId, node_id: path },
  });
}
