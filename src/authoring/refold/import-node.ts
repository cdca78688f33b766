import type { JsonObject } from "@bufbuild/protobuf";
import { importCode, importDataMapper } from "./import-code.ts";
import {
  importDelay,
  importGroup,
  importMerge,
  importResponse,
  importSwitch,
  importTerminate,
  importWebhookWait,
  settingsOf,
} from "./import-flow.ts";
import { importHttp } from "./import-http.ts";
import { importConditions, importRule } from "./import-rule.ts";
import { fieldsOf, importAction, importFunction, stub } from "./import-stub.ts";
import { importTransform } from "./import-transform.ts";
import type { NeedList } from "./needs.ts";
import { isHttp } from "./node-index.ts";
import type { NodeText } from "./node-text.ts";
import { isEmpty, objectOf, textOf } from "./source-value.ts";
import type { SourceNode } from "./source-workflow.ts";

const attemptsMax = 20;

/** What an import of a node adds to beside the definition. */
export type NodeImport = { readonly text: NodeText; readonly needs: NeedList };

/** A node, without its id and its Group: its name, place, settings and kind. */
export function importNode(node: SourceNode, { text, needs }: NodeImport): JsonObject {
  const { x, y } = objectOf(node.document["position"]);
  const kind = kindOf(node, { text, needs });
  const settings = settingsFor(node, kind, text);
  return {
    name: node.name,
    ...(isNumber(x) && isNumber(y) && { position: { x, y } }),
    ...(Object.keys(settings).length > 0 && { settings }),
    ...kind,
  };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}

function kindOf(node: SourceNode, { text, needs }: NodeImport): JsonObject {
  const { type, input } = node;
  if (isHttp(node)) {
    return isEmpty(input) ? notConfigured(text) : { http: importHttp(node, text, needs) };
  }
  switch (type) {
    case "start":
      return { start: { api_call: {} } };
    case "rule":
      return { rule: importRule(input, text, "input_data") };
    case "transform":
      return isEmpty(input["query"])
        ? notConfigured(text)
        : { transform: importTransform(input, text, isReadAsResult(text)) };
    case "codeexecutornode":
    case "executecodenode":
      return isEmpty(input["code_string"]) ? notConfigured(text) : importCode(node, text);
    case "data_mapper":
      return importDataMapper(node, text);
    case "internal_functions":
      return importFunction(node, text, needs);
    case "response":
      return importResponse(node, text);
    case "group":
    case "loop":
      return importGroup(node, text);
    case "merge":
      return importMerge(node, text);
    case "delay":
      return importDelay(node, text);
    case "terminate":
      return importTerminate(node, text);
    case "switch":
    case "switch_case":
      return importSwitch(node, text);
    case "wait_for_webhook":
    case "waitforwebhook":
      return importWebhookWait(node, text);
    default:
      return otherKind(node, { text, needs });
  }
}

/** Kinds of the vendor's that there are none of here. All other types are slugs of applications. */
const unknownKinds: ReadonlySet<string> = new Set([
  "ai_code_executor",
  "sub_flow",
  "subflow",
  "sub_flows",
  "try_catch",
  "trycatch",
  "log",
  "logger",
  "human_task",
  "human_intervention",
  "tables",
  "datastore",
  "data_refs",
  "agent",
  "dlq",
]);

function otherKind(node: SourceNode, { text, needs }: NodeImport): JsonObject {
  const { type, action, input } = node;
  const isNamed = action !== "" && action !== "no_action";
  if (!isNamed && isEmpty(input)) {
    return notConfigured(text);
  }
  if (unknownKinds.has(type) || !isNamed) {
    return stub(
      { code: "KIND_UNKNOWN", what: `A node of the kind ${JSON.stringify(type)}`, fields: fieldsOf(input) },
      text,
    );
  }
  return importAction(node, text, needs);
}

function notConfigured(text: NodeText): JsonObject {
  text.issues.warn("NODE_NOT_CONFIGURED", "The node was never configured; it does nothing.", text.place("input_data"));
  return nothing();
}

/** A node that computes null. */
export function nothing(): JsonObject {
  return { transform: { query: "null" } };
}

function isReadAsResult({ references, nodeId }: NodeText): boolean {
  return [...(references.nodeReads.get(nodeId) ?? [])].some((path) => /^result(?:[.[]|$)/.test(path));
}

function settingsFor(node: SourceNode, kind: JsonObject, text: NodeText): JsonObject {
  const settings = settingsOf(node.document);
  const { node_rule: rule } = objectOf(node.document["additional_node_properties"]);
  const isHttpNode = kind["http"] !== undefined;
  const conditions = importConditions(rule, text);
  const hidden = hiddenFields(settings, isHttpNode);
  const isRetried = isHttpNode || kind["transform"] !== undefined;
  const attempts = Number(textOf(node.document["maximum_attempts"]) || "1");
  if (!isEmpty(settings["output_fields"])) {
    const message = "The selection of output fields is not imported: the output is whole.";
    text.issues.warn(
      "SETTING_NOT_IMPORTED",
      message,
      text.place("node_settings.output_fields", textOf(settings["output_fields"])),
    );
  }
  if (settings["enable_schema_validation"] === true) {
    const message = "The validation of a node's data by a schema is not imported.";
    text.issues.warn("SETTING_NOT_IMPORTED", message, text.place("node_settings.enable_schema_validation"));
  }
  return {
    ...(settings["skip_on_error"] === true && { skip_on_error: true }),
    ...(settings["hide_node_request"] === true && { hide_node_request: true }),
    ...(attempts > 1 &&
      isRetried && {
        retry: { strategy: "FIXED", delay_ms: 1_000, max_attempts: Math.min(Math.trunc(attempts), attemptsMax) },
      }),
    ...(conditions !== undefined && { conditions }),
    ...(hidden.length > 0 && { encrypted_output_fields: hidden }),
  };
}

/** The paths that are hidden: those of a request's output begin with `body` here. */
function hiddenFields(settings: JsonObject, isHttpNode: boolean): string[] {
  const given = settings["encrypted_output_fields"];
  const paths = Array.isArray(given) ? given.map(textOf).filter((path) => path !== "" && path.length <= 250) : [];
  return paths.slice(0, 100).map((path) => (isHttpNode && !/^body(?:[.[]|$)/.test(path) ? `body.${path}` : path));
}
