import type { NewExecution } from "../../domain/execution.ts";
import { type Reason, reasons } from "../../domain/reason.ts";
import { RequestError } from "../../domain/request-error.ts";
import { NodeFailure } from "../../engine/errors/node-failure.ts";
import type { ChildRequest } from "../../engine/journal/children.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { ResolvedChild } from "../run/child-runs.ts";
import { eventOf } from "../run/trigger-event.ts";
import type { CallResolver } from "./call-resolver.ts";
import type { ExecuteCall } from "./execute-call.ts";

export type ChildResolverOptions = {
  readonly resolver: Pick<CallResolver, "resolve">;
  readonly workflows: Pick<WorkflowStore, "findEver">;
};

/** Resolves the workflows that Sub Flow nodes name, as calls for the account of the execution that the node is of. */
export class ChildResolver {
  readonly #options: ChildResolverOptions;

  constructor(options: ChildResolverOptions) {
    this.#options = options;
  }

  /** Throws NodeFailure: SUB_FLOW_NOT_FOUND and SUB_FLOW_REFUSED. */
  async resolve(parent: NewExecution, request: ChildRequest, signal: AbortSignal): Promise<ResolvedChild> {
    const call = callOf(parent, request, signal);
    try {
      return await this.#options.resolver.resolve(call);
    } catch (error) {
      if (error instanceof RequestError && error.reason === "SLUG_REQUIRED" && request.slug === undefined) {
        const { environmentId, workflowId } = parent;
        const { slug } = await this.#options.workflows.findEver({ environmentId }, { workflow: workflowId });
        return await this.resolve(parent, { ...request, slug }, signal);
      }
      throw error instanceof RequestError ? failureOf(error) : error;
    }
  }
}

function callOf(parent: NewExecution, request: ChildRequest, signal: AbortSignal): ExecuteCall {
  const { organizationId, environmentId, linkedAccountId, tag } = parent;
  const { workflow, slug, version, configId = parent.configId, payload, mode } = request;
  return {
    ...{ organizationId, environmentId, linkedAccountId, configId, payload, signal },
    reference: { workflow, ...(slug !== undefined && { slug }) },
    ...(version !== undefined && { version }),
    ...(tag !== undefined && { tag }),
    type: mode === "SYNC" ? "SYNC" : "ASYNC",
    source: parent.source === "TEST" ? "TEST" : "SUB_FLOW",
    // With the headers that are kept of the call that all began with: that of loop detection among them.
    event: { body: eventOf({ ...parent, payload }).body, headers: eventOf(parent).headers },
  };
}

const notFound: ReadonlySet<Reason> = new Set([
  "WORKFLOW_NOT_FOUND",
  "WORKFLOW_NOT_PUBLISHED",
  "WORKFLOW_VERSION_NOT_FOUND",
]);

function failureOf({ reason, message, details }: RequestError): NodeFailure {
  if (notFound.has(reason)) {
    return new NodeFailure("SUB_FLOW_NOT_FOUND", message, { isFinal: true });
  }
  const violations = (details.violations ?? []).map(({ field, description }) => ` ${field}: ${description}`).join(";");
  const { status } = reasons[reason];
  // The server is busy, or cannot reach what it needs: another attempt may help.
  const isFinal = status < 500 && status !== 429;
  return new NodeFailure("SUB_FLOW_REFUSED", `${reason}: ${message}${violations}`, { isFinal });
}
