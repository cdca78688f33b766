import { type PathPart, readPath } from "../../domain/json/value-path.ts";
import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import {
  MergeNode_OnMissing,
  type Node,
  type NodeSettings,
  NodeSettings_Delivery,
  NodeSettings_OnError,
  type ResponseNode,
  type RetryPolicy,
  RetryPolicy_Strategy,
  TerminateNode_Result,
} from "../../gen/flowcall/v1/definition_pb.ts";
import type { InnerPort, LeafStep, OnError, Retry, Step, Subgraph } from "../graph/graph.ts";
import type { Leaf, LeafTools } from "../nodes/leaf.ts";
import { leaves } from "../nodes/leaves.ts";
import type { QueryCompiler } from "../query/compile-query.ts";
import { type Condition, compileRule } from "../rules/compile-rule.ts";
import { Field } from "../templates/field.ts";
import { compileJson } from "../templates/json-template.ts";
import type { Names } from "../templates/names.ts";
import { compileText } from "../templates/text-template.ts";
import { hasErrorPort, memberNameOf } from "./check-structure.ts";
import { compileGroup } from "./compile-group.ts";
import { compileSwitch } from "./compile-switch.ts";
import { compileTryCatch } from "./compile-try-catch.ts";

/** A compiled node before it is linked into the graph. */
export type CompiledNode = {
  readonly onError: OnError;
  readonly isHidden: boolean;
  readonly encryptedFields: readonly string[];
  readonly conditions?: Condition;
  readonly makeStep: MakeStep;
};

/** Makes the step, with the linked subgraphs behind the ports that lead into the node. */
type MakeStep = (inside: (port: InnerPort) => Subgraph) => Step;

/** The tools for compiling the nodes of one definition. */
export type NodeTools = { readonly names: Names; readonly limits: Limits; readonly queries: QueryCompiler };

/** Compiles a node with its settings, and reports every problem in them. Gives undefined for a node without a kind. */
export function compileNode(node: Node, tools: NodeTools): CompiledNode | undefined {
  const { settings, kind } = node;
  if (kind.case === undefined) {
    return undefined;
  }
  const settingsField = new Field(tools.names, node.id, "settings");
  const isAtMostOnce = settings?.delivery === NodeSettings_Delivery.AT_MOST_ONCE;
  const retry = compileRetry(settings?.retry, settingsField.member("retry"));
  const timeoutMs = settings?.timeoutMs ?? defaultTimeoutMs(kind, tools.limits);
  const maxMs = timeoutMsMax(kind, tools.limits);
  if (timeoutMs < 1 || timeoutMs > maxMs) {
    settingsField
      .member("timeout_ms")
      .error("TIMEOUT_INVALID", `A time-out must be 1 to ${maxMs} ms, not ${timeoutMs}.`);
  }
  const conditions = settings?.conditions && compileRule(settings.conditions, settingsField.member("conditions"));
  checkEncryptedFields(node, settingsField.member("encrypted_output_fields"));
  warnOfIgnoredSettings(node, settingsField);
  const field = new Field(tools.names, node.id, memberNameOf(kind.case));
  const makeStep =
    kind.case === "tryCatch"
      ? compileTryCatch(kind.value, { limits: tools.limits, retry, timeoutMs: settings?.timeoutMs }, field)
      : compileStep(
          kind,
          { retry: isAtMostOnce || triedOnce.includes(kind.case) ? once : retry, timeoutMs, isAtMostOnce },
          { ...tools, field },
        );
  const onError = compileOnError(node, settingsField);
  const { hideNodeRequest: isHidden = false, encryptedOutputFields = [] } = settings ?? {};
  return { onError, isHidden, encryptedFields: encryptedOutputFields, ...(conditions && { conditions }), makeStep };
}

/** The two settings that say how a branch goes on after a failure must agree. */
function compileOnError(node: Node, field: Field): OnError {
  const { skipOnError, onError: setting }: Partial<NodeSettings> = node.settings ?? {};
  const onError = onErrors.get(setting);
  if (onError === undefined) {
    return skipOnError === true ? "SKIP" : "FAIL";
  }
  if (skipOnError !== undefined && skipOnError !== (onError === "SKIP")) {
    const message = `on_error is ${onError} and skip_on_error is ${skipOnError}, which contradict each other. Remove skip_on_error.`;
    field.member("on_error").error("ON_ERROR_CONTRADICTORY", message);
  }
  if (onError === "PORT" && !hasErrorPort(node)) {
    const message = `A ${node.kind.case} node has no port "error", so on_error: PORT has no effect.`;
    field.member("on_error").warn("SETTING_IGNORED", message);
    return "FAIL";
  }
  return onError;
}

const onErrors: ReadonlyMap<NodeSettings_OnError | undefined, OnError> = new Map([
  [NodeSettings_OnError.FAIL, "FAIL"],
  [NodeSettings_OnError.SKIP, "SKIP"],
  [NodeSettings_OnError.PORT, "PORT"],
]);

const nodeTimeoutMsMax = 7_200_000;
const codeTimeoutMsMax = 60_000;
const retryDelayMsMax = 3_600_000;
const attemptsMax = 20;

type Kind = Extract<Node["kind"], { case: string }>;
type LeafSettings = Omit<LeafStep, "kind" | "leaf">;

const once: Retry = { attemptsMax: 1, delayMs: 0, factor: 1, hasJitter: false };

/** The leaves that are not retried: a script and a mapping give the same again, and a wait is one. */
const triedOnce: readonly string[] = ["code", "waitForWebhook", "dataMapper"];

/** The kinds whose attempts have a time-out. */
const timedKinds: readonly string[] = ["transform", "code", "http", "tryCatch", "subFlow"];

function defaultTimeoutMs({ case: kind }: Node["kind"], limits: Limits): number {
  const { httpTimeoutMs, codeMs, ageMs, nodeTimeoutMs } = limits;
  return kind === "http" ? httpTimeoutMs : kind === "code" ? codeMs : kind === "subFlow" ? ageMs : nodeTimeoutMs;
}

/** The longest time-out that an author may set. Who waits for an execution may wait for as long as one may become old. */
function timeoutMsMax({ case: kind }: Node["kind"], { ageMs }: Limits): number {
  return kind === "code" ? codeTimeoutMsMax : kind === "subFlow" ? Math.max(ageMs, nodeTimeoutMsMax) : nodeTimeoutMsMax;
}

/** A node that computes the same each time is not retried, and one that waits for other nodes has no time-out. */
function warnOfIgnoredSettings({ kind, settings }: Node, field: Field): void {
  const isRetried =
    kind.case === "tryCatch" || (kind.case !== undefined && kind.case in leaves && !triedOnce.includes(kind.case));
  if (settings?.retry !== undefined && !isRetried) {
    field.warn("SETTING_IGNORED", `A ${kind.case} node is not retried, so its retry policy has no effect.`);
  }
  if (settings?.timeoutMs !== undefined && !timedKinds.includes(kind.case ?? "")) {
    field.warn("SETTING_IGNORED", `A ${kind.case} node has no time-out of its own, so timeout_ms has no effect.`);
  }
  if (settings?.delivery !== undefined && kind.case !== "http") {
    field.warn("SETTING_IGNORED", `A ${kind.case} node sends nothing, so its delivery has no effect.`);
  }
  if (kind.case === "start" && (settings?.hideNodeRequest || settings?.encryptedOutputFields.length)) {
    field.warn(
      "SETTING_IGNORED",
      "The output of a start node is the execution's payload, which is shown in spite of this setting.",
    );
  }
  if (settings?.delivery === NodeSettings_Delivery.AT_MOST_ONCE && settings.retry !== undefined) {
    field.warn("SETTING_IGNORED", "A node that sends at most once is not retried, so its retry policy has no effect.");
  }
}

/** Reports paths that lead nowhere: they would leave visible what the author wants to hide. */
function checkEncryptedFields({ kind, settings }: Node, field: Field): void {
  if (!field.isNew) {
    return;
  }
  for (const path of settings?.encryptedOutputFields ?? []) {
    const steps = readPath(path);
    if (steps === undefined) {
      const advice = "Write names with single dots between them, an index as [0], and a name with dots as ['a.b'].";
      field.error("OUTPUT_PATH_INVALID", `"${path}" is not a path. ${advice}`);
    } else if (kind.case === "http" && !isAnswerPath(steps)) {
      const advice = 'Begin with "body", "status" or "headers" and a header\'s name in lower case.';
      field.error("OUTPUT_PATH_INVALID", `"${path}" is not in an HTTP node's output. ${advice}`);
    }
  }
}

function isAnswerPath([member, header, ...more]: readonly PathPart[]): boolean {
  if (member?.name !== "headers") {
    return /^(?:body|status|\*)$/.test(member?.name ?? "");
  }
  // `set-cookie` is the only header whose value is a list.
  const isCookie = header?.name === "set-cookie" && more.length === 1;
  return !/[A-Z]/.test(header?.name ?? "") && (more.length === 0 || isCookie);
}

function compileStep(
  kind: Exclude<Kind, { case: "tryCatch" }>,
  leafSettings: LeafSettings,
  { field, limits, queries }: LeafTools,
): MakeStep {
  const leafStep = (leaf: Leaf): LeafStep => ({ kind: "leaf", leaf, ...leafSettings });
  let step: Step;
  switch (kind.case) {
    case "group": {
      const makeStep = compileGroup(kind.value, limits, field);
      return (inside) => makeStep(inside("each"));
    }
    case "transform":
      step = leafStep(leaves.transform(kind.value, { field, limits, queries }));
      break;
    case "code":
      step = leafStep(leaves.code(kind.value, { field, limits, queries }));
      break;
    case "dataMapper":
      step = leafStep(leaves.dataMapper(kind.value, { field, limits, queries }));
      break;
    case "delay":
      step = leafStep(leaves.delay(kind.value, { field, limits, queries }));
      break;
    case "http":
      step = leafStep(leaves.http(kind.value, { field, limits, queries }));
      break;
    case "waitForWebhook":
      step = leafStep(leaves.waitForWebhook(kind.value, { field, limits, queries }));
      break;
    case "subFlow":
      step = leafStep(leaves.subFlow(kind.value, { field, limits, queries }));
      break;
    case "rule":
      step = { kind: "rule", holds: compileRule(kind.value, field) };
      break;
    case "switch":
      step = compileSwitch(kind.value, field);
      break;
    case "merge":
      step = { kind: "merge", requiresAll: kind.value.onMissing === MergeNode_OnMissing.FAIL };
      break;
    case "response":
      step = compileResponse(kind.value, limits, field);
      break;
    case "terminate": {
      const { result, message } = kind.value;
      const template = message === undefined ? undefined : compileText(message, field.member("message"));
      const isError = result === TerminateNode_Result.ERROR;
      step = { kind: "terminate", isError, ...(template && { message: template }) };
      break;
    }
    case "start":
      step = { kind: "start" };
      break;
    default:
      return unreachable(kind);
  }
  return () => step;
}

function compileResponse({ data, statusCode }: ResponseNode, limits: Limits, field: Field): Step {
  const response = compileJson(data, limits.output, field.member("data"));
  if (statusCode !== undefined && !isStatusCode(statusCode)) {
    field
      .member("status_code")
      .error("STATUS_CODE_INVALID", "A status code must be 200 to 299 or 400 to 599, but not 202, 204, 205 or 206.");
  }
  return { kind: "response", response, ...(statusCode !== undefined && { statusCode }) };
}

function isStatusCode(code: number): boolean {
  const isAllowed = (code >= 200 && code <= 299) || (code >= 400 && code <= 599);
  return isAllowed && ![202, 204, 205, 206].includes(code);
}

function compileRetry(policy: RetryPolicy | undefined, field: Field): Retry {
  if (policy === undefined) {
    return once;
  }
  const { maxAttempts, delayMs, strategy, jitter = false } = policy;
  if (maxAttempts < 1 || maxAttempts > attemptsMax) {
    field
      .member("max_attempts")
      .error("RETRY_INVALID", `There must be 1 to ${attemptsMax} attempts, the first included, not ${maxAttempts}.`);
  }
  if (delayMs < 0 || delayMs > retryDelayMsMax) {
    field.member("delay_ms").error("RETRY_INVALID", `The delay must be 0 to ${retryDelayMsMax} ms, not ${delayMs}.`);
  }
  const factor = strategy === RetryPolicy_Strategy.EXPONENTIAL ? 2 : 1;
  return { attemptsMax: maxAttempts, delayMs, factor, hasJitter: jitter };
}
