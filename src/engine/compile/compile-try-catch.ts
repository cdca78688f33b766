import type { ExecutionError } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { TryCatchNode } from "../../gen/flowcall/v1/definition_pb.ts";
import type { FailureReason } from "../errors/node-failure.ts";
import type { Problems } from "../errors/problems.ts";
import type { InnerPort, LeafStep, Subgraph, TryCatchStep } from "../graph/graph.ts";
import type { Field } from "../templates/field.ts";
import { compileJson } from "../templates/json-template.ts";
import type { SubgraphPlan } from "./plan-subgraphs.ts";

/** The fields that are evaluated when the nodes behind a port have come to their end, with that port. */
export const tryCatchFields: ReadonlyMap<string, InnerPort> = new Map([
  ["try_catch.output", "try"],
  ["try_catch.catch_output", "catch"],
]);

type Settings = Pick<LeafStep, "retry"> & {
  readonly limits: Pick<Limits, "output">;
  /** Absent where the nodes inside may take as long as they like. */
  readonly timeoutMs: number | undefined;
};

/** Compiles a Try & Catch, and reports the problems in its fields. */
export function compileTryCatch(
  { catchReasons, output: json, catchOutput: catchJson }: TryCatchNode,
  { limits, retry, timeoutMs }: Settings,
  field: Field,
): (inside: (port: InnerPort) => Subgraph) => TryCatchStep {
  const output = json === undefined ? undefined : compileJson(json, limits.output, field.member("output"));
  const catchOutput =
    catchJson === undefined ? undefined : compileJson(catchJson, limits.output, field.member("catch_output"));
  for (const [index, reason] of catchReasons.entries()) {
    if (!isKnown(reason)) {
      const message =
        `"${reason}" is no reason for which a node fails and that can be caught. Write one such as NODE_TIMED_OUT, or a ` +
        "status as HTTP_STATUS:404 or HTTP_STATUS:5xx.";
      field.member(`catch_reasons[${index}]`).error("CATCH_REASON_UNKNOWN", message);
    }
  }
  const reasons = new Set(catchReasons);
  const step = {
    kind: "try_catch",
    catches: (failure: ExecutionError) => reasons.size === 0 || namesOf(failure).some((name) => reasons.has(name)),
    retry,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(output && { output }),
    ...(catchOutput && { catchOutput }),
  } as const;
  return (inside) => ({ ...step, trySubgraph: inside("try"), catchSubgraph: inside("catch") });
}

/** What `catch_reasons` may call a failure. */
function namesOf({ reason, status }: ExecutionError): readonly string[] {
  return status === undefined ? [reason] : [reason, `${reason}:${status}`, `${reason}:${Math.floor(status / 100)}xx`];
}

function isKnown(reason: string): boolean {
  return Object.hasOwn(isCaught, reason)
    ? Object.entries(isCaught).some(([name, caught]) => caught && name === reason)
    : /^HTTP_STATUS:[1-5](?:\d\d|xx)$/.test(reason);
}

/** Whether a Try & Catch can catch a failure. */
const isCaught: Readonly<Record<FailureReason, boolean>> = {
  EXPRESSION_ERROR: true,
  OUTPUT_TOO_LARGE: true,
  OUTPUT_INVALID: true,
  RECORDS_TOO_LARGE: false,
  COMPARISON_TOO_LARGE: true,
  NODE_TIMED_OUT: true,
  TERMINATED: false,
  GROUP_ARRAY_INVALID: true,
  GROUP_COUNT_INVALID: true,
  GROUP_TOO_LARGE: true,
  GROUP_ITERATIONS_FAILED: true,
  MERGE_INCOMPLETE: true,
  MAPPER_INPUT_INVALID: true,
  MAPPER_MAPPING_INVALID: true,
  CODE_ERROR: true,
  CODE_FUNCTION_MISSING: true,
  CODE_MODULE_UNKNOWN: true,
  CODE_OUT_OF_MEMORY: true,
  CODE_WORKER_LOST: true,
  PARAMETERS_TOO_LARGE: true,
  DELAY_INVALID: true,
  WAIT_INVALID: true,
  WEBHOOK_TIMED_OUT: true,
  SUB_FLOW_NOT_FOUND: true,
  SUB_FLOW_REFUSED: true,
  SUB_FLOW_ERRORED: true,
  SUB_FLOW_TOO_DEEP: true,
  HTTP_STATUS: true,
  REQUEST_TOO_LARGE: true,
  OUTCOME_UNKNOWN: true,
  CONNECTION_MISSING: true,
  CONNECTION_INCOMPLETE: true,
  CONNECTION_UNREADABLE: true,
  CONNECTION_HOST_REFUSED: true,
  VARIABLE_MISSING: true,
  VARIABLE_HOST_REFUSED: true,
  PAGE_INVALID: true,
  PAGES_LIMIT: true,
  EGRESS_REFUSED: true,
  URL_INVALID: true,
  HEADER_REFUSED: true,
  REDIRECT_LIMIT: true,
  ANSWER_TOO_LARGE: true,
  ANSWER_UNREADABLE: true,
  CONNECTION_FAILED: true,
};

/** Reports each Try & Catch of which a side is empty, or whose sides have a node in common. */
export function checkTryCatches(plans: readonly SubgraphPlan[], problems: Problems): void {
  for (const { group, nodes: behindCatch } of plans.filter(({ port }) => port === "catch")) {
    const nodeId = group?.id ?? "";
    const behindTry = plans.find((plan) => plan.group === group && plan.port === "try")?.nodes ?? [];
    for (const [nodes, reason, port] of [
      [behindTry, "TRY_EMPTY", "try"],
      [behindCatch, "CATCH_EMPTY", "catch"],
    ] as const) {
      if (nodes.length === 0) {
        const message = `No edge leaves the port "${port}", so there is nothing to run. Connect it to a node inside.`;
        problems.error({ nodeId, field: "try_catch" }, reason, message);
      }
    }
    for (const node of behindTry.filter((one) => behindCatch.includes(one))) {
      const message = `Both the port "try" and the port "catch" of "${nodeId}" lead to this node. Let one of them lead to it.`;
      problems.error({ nodeId: node.id, field: "group_id" }, "TRY_CATCH_MIXED", message);
    }
  }
}
