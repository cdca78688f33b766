import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { type ChildMode, type ExecutionError, type Outcome, statusOf } from "../../domain/execution.ts";
import { parseJson } from "../../domain/json/json-parse.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { Limits } from "../../domain/limits.ts";
import { type SubFlowNode, SubFlowNode_Mode } from "../../gen/flowcall/v1/definition_pb.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Field } from "../templates/field.ts";
import { compileJson } from "../templates/json-template.ts";
import type { Scope } from "../templates/reference.ts";
import { compileText } from "../templates/text-template.ts";
import { checkOutput } from "../values/check-output.ts";
import type { Leaf, LeafTools } from "./leaf.ts";

/** Runs another workflow as an execution of its own, and waits for its end unless that is DETACHED. */
export function compileSubFlow(message: SubFlowNode, { field, limits }: LeafTools): Leaf {
  const { workflow, slug, version, configId, acceptErrored = false } = message;
  checkTarget(message, field);
  const { mode: chosen = SubFlowNode_Mode.MODE_UNSPECIFIED } = message;
  const mode = modes[chosen] ?? "WAIT";
  const renderPayload = compilePayload(message.payload, field.member("payload"), limits);
  const config = configId === undefined ? undefined : compileText(configId, field.member("config_id"));
  return {
    run: async (attempt) => {
      const { executionId, outcome } = await attempt.runChild({
        ...{ workflow, slug, version, mode },
        configId: config?.render(attempt.scope),
        payload: renderPayload(attempt.scope),
      });
      if (outcome === undefined) {
        return { execution_id: executionId };
      }
      if (outcome.state !== "COMPLETED" && !acceptErrored) {
        throw failureOf(executionId, outcome);
      }
      return outputOf(executionId, outcome);
    },
    output: {
      type: "object",
      properties:
        mode === "DETACHED"
          ? { execution_id: { type: "string" } }
          : {
              execution_id: { type: "string" },
              status: { type: "string" },
              return_value: true,
              status_code: { type: "integer" },
              ...(acceptErrored && { error: { type: "object" } }),
            },
      additionalProperties: false,
    },
  };
}

const modes: Readonly<Record<SubFlowNode_Mode, ChildMode>> = {
  [SubFlowNode_Mode.MODE_UNSPECIFIED]: "WAIT",
  [SubFlowNode_Mode.WAIT]: "WAIT",
  [SubFlowNode_Mode.SYNC]: "SYNC",
  [SubFlowNode_Mode.DETACHED]: "DETACHED",
};

function checkTarget({ workflow, slug, version }: SubFlowNode, field: Field): void {
  for (const [name, text] of [
    ["workflow", workflow],
    ["slug", slug],
  ] as const) {
    if (text !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(text)) {
      const what = name === "workflow" ? "a workflow's id or alias" : "an integration's slug";
      field.member(name).error("SUB_FLOW_INVALID", `"${text.slice(0, 40)}" is not ${what}. It holds no templates.`);
    }
  }
  if (version !== undefined && version < 1) {
    field.member("version").error("SUB_FLOW_INVALID", `Versions are numbered from 1: there is no version ${version}.`);
  }
}

function compilePayload(text: string | undefined, field: Field, limits: Limits): (scope: Scope) => JsonText {
  if (text === undefined) {
    // JSON text of an object.
    return () => "{}" as JsonText;
  }
  const payload = compileJson(text, limits.payload, field);
  if (payload.references.length === 0 && !isObject(payload.render({ read: () => undefined })) && field.isNew) {
    field.error("SUB_FLOW_INVALID", "The payload of a Sub Flow must be an object.");
  }
  return (scope) => {
    const value = payload.render(scope);
    if (!isObject(value)) {
      throw new NodeFailure("SUB_FLOW_REFUSED", "The payload of a Sub Flow must be an object.", { isFinal: true });
    }
    return checkOutput(value, limits.payload);
  };
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function outputOf(executionId: string, { state, response, statusCode, error }: Outcome): JsonObject {
  return {
    execution_id: executionId,
    status: statusOf(state),
    return_value: response === undefined ? null : parseJson(response),
    ...(statusCode !== undefined && { status_code: statusCode }),
    // An ExecutionError has members of JSON alone.
    ...(error !== undefined && { error: error as JsonObject }),
  };
}

/** The failure of the other execution, with what a server answered that failed it. */
function failureOf(executionId: string, { state, error }: Outcome): NodeFailure {
  const { message, status, body, is_cut } = error ?? ({ message: `It is ${state}.` } satisfies Partial<ExecutionError>);
  const answer =
    status === undefined ? undefined : { status, ...(body !== undefined && { body }), isCut: is_cut === true };
  return new NodeFailure("SUB_FLOW_ERRORED", message, { executionId, ...(answer && { answer }) });
}
