import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Clock } from "../../domain/clock.ts";
import { type ExecutionSummary, type NodeRun, statusOf } from "../../domain/execution.ts";
import type { Call } from "../../domain/http/call.ts";
import { eventId, parseEventId } from "../../domain/http/event-cursor.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { NodeViews } from "../../engine/graph/definition-outline.ts";
import {
  type CreateWatchTokenRequest,
  CreateWatchTokenResponseSchema,
  ExecutionEvent_AcceptedSchema,
  ExecutionEvent_EndedSchema,
  ExecutionEventSchema,
  type ExecutionService,
  type WatchExecutionRequest,
} from "../../gen/flowcall/v1/execution_pb.ts";
import type { WatchTokens } from "../../scheduler/encryption/watch-tokens.ts";
import type { VersionCache } from "../../scheduler/run/version-cache.ts";
import type { WatchedFact, Watchers } from "../../scheduler/waiting/watchers.ts";
import type { EndEvent } from "../../storage/history/execution-events.ts";
import type { ExecutionReader } from "../../storage/history/execution-reader.ts";
import { principalOf } from "../chain/handler-call.ts";
import type { ServiceHandlers } from "../chain/handler-chain.ts";
import { errorField, isUnderWay, nodeRunMessage, states, statuses } from "./execution-message.ts";
import { findExecution, foundIn, queryOf, viewsOf } from "./execution-queries.ts";

export type ExecutionWatchOptions = {
  readonly reader: ExecutionReader;
  readonly versions: VersionCache;
  readonly watchers: Watchers;
  readonly watchTokens: WatchTokens;
  readonly clock: Pick<Clock, "now">;
};

type Watch = Pick<ServiceHandlers<typeof ExecutionService>, "watchExecution" | "createWatchToken">;

/** WatchExecution, which streams the events of an execution as they are recorded, and the tokens for it. */
export class ExecutionWatch implements Watch {
  readonly #options: ExecutionWatchOptions;

  constructor(options: ExecutionWatchOptions) {
    this.#options = options;
  }

  async createWatchToken(request: CreateWatchTokenRequest, call: Call) {
    const { reader, watchTokens, clock } = this.#options;
    const execution = await findExecution(reader, queryOf(request, call), call);
    const { environmentId, keyId, expireTime: keyEnd } = principalOf(call);
    const asked = clock.now() + (request.ttlSeconds ?? ttlSeconds) * 1_000;
    const expireTime = new Date(Math.min(asked, keyEnd?.getTime() ?? asked));
    const token = watchTokens.make({ environmentId, executionId: execution.id, keyId }, expireTime);
    call.replyHeaders.set("cache-control", "no-store").set("referrer-policy", "no-referrer");
    return create(CreateWatchTokenResponseSchema, { token, expireTime: timestampFromDate(expireTime) });
  }

  async *watchExecution(request: WatchExecutionRequest, call: Call) {
    const { reader, versions, watchers } = this.#options;
    const query = queryOf(request, call);
    const execution = await findExecution(reader, query, call);
    const views = await viewsOf(versions, execution, call);
    const { lastEventId } = request;
    const behind = lastEventId === undefined ? undefined : parseEventId(execution.id, lastEventId);
    const watch = { organizationId: principalOf(call).organizationId, behind, signal: call.signal };
    for await (const recorded of watchers.watch(foundIn(query, execution), watch)) {
      const id = eventId(execution.id, recorded.cursor);
      const isResponse =
        recorded.kind === "run" && recorded.run.state === "SUCCESS" && views.get(recorded.run.path)?.isResponse;
      const response = isResponse ? await reader.getResponse(foundIn(query, execution)) : undefined;
      const fact =
        isResponse && response !== undefined ? { ...recorded, run: { ...recorded.run, output: response } } : recorded;
      yield create(ExecutionEventSchema, { id, fact: factOf(fact, execution, views) });
    }
  }
}

/** The lifetime of a token whose request does not say one. */
const ttlSeconds = 900;

type Fact = NonNullable<MessageInitShape<typeof ExecutionEventSchema>["fact"]>;

/** A fact, with the response where the node that set it has run. */
type ShownFact = Exclude<WatchedFact, { kind: "run" }> | { readonly kind: "run"; readonly run: NodeRun };

function factOf(fact: ShownFact, execution: ExecutionSummary, views: NodeViews): Fact {
  switch (fact.kind) {
    case "accepted":
      return { case: "accepted", value: acceptedMessage(execution) };
    case "run": {
      const value = nodeRunMessage(fact.run, views);
      if (isUnderWay(fact.run)) {
        return { case: "nodeStarted", value };
      }
      return { case: fact.run.path.endsWith("]") ? "iterationFinished" : "nodeFinished", value };
    }
    case "end":
      return { case: "ended", value: endedMessage(fact.end) };
    default:
      return unreachable(fact);
  }
}

function acceptedMessage({ id, workflowId, version, linkedAccountId, createTime }: ExecutionSummary) {
  return create(ExecutionEvent_AcceptedSchema, {
    executionId: id,
    workflowId,
    workflowVersion: Math.max(0, version),
    linkedAccountId,
    createTime: timestampFromDate(createTime),
  });
}

function endedMessage({ state, statusCode, error, endTime }: EndEvent) {
  return create(ExecutionEvent_EndedSchema, {
    state: states[state],
    status: statuses[statusOf(state)],
    ...(statusCode !== undefined && { statusCode }),
    ...errorField(error),
    endTime: timestampFromDate(endTime),
  });
}
