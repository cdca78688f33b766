import { LruMap } from "../../domain/collections/lru-map.ts";
import type { NewExecution } from "../../domain/execution.ts";
import { newIdAt } from "../../domain/id.ts";
import { jsonTextOf } from "../../domain/json/json-parse.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { Limits } from "../../domain/limits.ts";
import { isAccessible } from "../../domain/principal.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import type { ProcessPool } from "../../engine/pool/process-pool.ts";
import type { ConfigStore } from "../../storage/tenants/config-store.ts";
import type { ResolvedCall } from "../../storage/workflows/resolve-call.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import type { Sealing } from "../encryption/sealing.ts";
import { startFields } from "../run/field-values.ts";
import type { VersionCache } from "../run/version-cache.ts";
import { keysMissing, syncNotAllowed } from "./call-errors.ts";
import type { ExecuteCall, ExecutionRequest } from "./execute-call.ts";
import { fingerprintOf } from "./idempotent-replay.ts";

/** How many resolved calls are kept, and how many characters of account attributes and configured values they may have. */
const callsMax = 10_000;
const charsMax = 16 * 1024 * 1024;

export type CallResolverOptions = {
  readonly workflows: Pick<WorkflowStore, "resolveCall">;
  readonly versions: Pick<VersionCache, "get">;
  readonly configs: ConfigStore;
  readonly sealing: Pick<Sealing, "canSeal">;
  readonly pool: Pick<ProcessPool, "run">;
  readonly limits: Limits;
  /** The database's time in milliseconds since 1970, from which executions get their ids. */
  readonly databaseNow: () => number;
};

/** The result of resolving a call: the version that it runs, the account that it runs for, and the configured values. */
type Target = ResolvedCall & { readonly fields: JsonText | undefined };

/**
 * Finds what calls name, checks them against the workflow, and makes the executions that they ask for.
 *
 * The result for an equal call is cached, so that a call needs no statement here. It may have changed since: the
 * statement that commits the execution finds that out by the request's read set, and then the call is resolved anew. No
 * refusal is given by what is kept, and nothing that does not exist is.
 */
export class CallResolver {
  readonly #options: CallResolverOptions;
  readonly #known: LruMap<string, Target>;
  #chars = 0;

  constructor(options: CallResolverOptions) {
    this.#options = options;
    this.#known = new LruMap(callsMax, (_, target) => {
      this.#chars -= charsOf(target);
    });
  }

  /** The request by what an equal call was resolved to; undefined where none was, or where the call would be refused by it. */
  async recall(call: ExecuteCall): Promise<ExecutionRequest | undefined> {
    const target = this.#known.get(keyOf(call));
    if (target === undefined || !isAccessible(call, { ...target, linkedAccountId: call.linkedAccountId })) {
      return undefined;
    }
    try {
      const graph = await this.#options.versions.get(call, target.workflowId, target.version);
      const checking = this.#check(call, graph);
      if (checking !== undefined) {
        await checking;
      }
      return this.#requestOf(call, target, graph);
    } catch (error) {
      if (error instanceof RequestError) {
        return undefined;
      }
      throw error;
    }
  }

  /** Makes the request by what the database says now. Throws RequestError. */
  async resolve(call: ExecuteCall): Promise<ExecutionRequest> {
    this.#forget(keyOf(call));
    const { workflows, versions, configs } = this.#options;
    const resolved = await workflows.resolveCall(call);
    const { workflowId, version, slug, readSet, linkedAccount } = resolved;
    const graph = await versions.get(call, workflowId, version);
    const checking = this.#check(call, graph);
    if (checking !== undefined) {
      await checking;
    }
    const { environmentId, configId = linkedAccount.id } = call;
    const start = { environmentId, workflowId, linkedAccountId: linkedAccount.id, configId, slug };
    const { fields, read } = await startFields(configs, graph, start);
    const target = { ...resolved, fields, ...(readSet && { readSet: { ...readSet, config: read } }) };
    if (readSet !== undefined) {
      this.#keep(keyOf(call), target);
    }
    const { readSet: _, ...request } = this.#requestOf(call, target, graph);
    return request;
  }

  /** Checks a call before anything is created. Throws RequestError; a promise, where it answers one, may reject with it. */
  #check(call: ExecuteCall, graph: Graph): Promise<void> | undefined {
    const { pool, sealing } = this.#options;
    if (!graph.hasApiCallTrigger) {
      throw RequestError.of("WORKFLOW_HAS_OTHER_TRIGGER");
    }
    if (call.type === "SYNC" && graph.group !== undefined) {
      throw syncNotAllowed(graph.group);
    }
    if (graph.hidesNodes && !sealing.canSeal) {
      throw keysMissing();
    }
    const { organizationId, environmentId, payload: text, event, signal } = call;
    const path = [organizationId, environmentId] as const;
    return graph.payloadValidator?.check({ payload: event.body, text, path, signal, pool });
  }

  #requestOf(call: ExecuteCall, target: Target, graph: Graph): ExecutionRequest {
    const { linkedAccount, workflowId, version, fields, readSet } = target;
    const { organizationId, environmentId, tag, type, payload, event, idempotencyKey: key } = call;
    const { limits, databaseNow } = this.#options;
    const execution: NewExecution = {
      organizationId,
      environmentId,
      id: newIdAt(databaseNow()),
      workflowId,
      version,
      linkedAccountId: linkedAccount.id,
      configId: call.configId ?? linkedAccount.id,
      type,
      source: call.source ?? "API_CALL",
      payload,
      headers: jsonTextOf(event.headers, { name: "headers", limits: limits.payload }),
      ...(tag !== undefined && { tag }),
      ...(fields !== undefined && { fields }),
    };
    const idempotencyKey = key && { key, fingerprint: fingerprintOf({ ...execution, payload: event.body }) };
    return {
      execution,
      graph,
      linkedAccount,
      event,
      ...(readSet && { readSet }),
      ...(idempotencyKey && { idempotencyKey }),
    };
  }

  #keep(key: string, target: Target): void {
    this.#chars += charsOf(target);
    this.#known.set(key, target);
    for (const [leastUsed] of this.#chars > charsMax ? this.#known.entries() : []) {
      this.#forget(leastUsed);
      if (this.#chars <= charsMax) {
        break;
      }
    }
  }

  #forget(key: string): void {
    const target = this.#known.peek(key);
    if (target !== undefined) {
      this.#known.delete(key);
      this.#chars -= charsOf(target);
    }
  }
}

function keyOf({ environmentId, reference, version, linkedAccountId, configId }: ExecuteCall): string {
  return JSON.stringify([environmentId, reference.workflow, reference.slug, version, linkedAccountId, configId]);
}

function charsOf({ linkedAccount, fields }: Target): number {
  return JSON.stringify(linkedAccount).length + (fields?.length ?? 0);
}
