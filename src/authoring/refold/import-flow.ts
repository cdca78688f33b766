import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { importRule } from "./import-rule.ts";
import type { NodeText } from "./node-text.ts";
import { isEmpty, objectOf, objectsOf, textOf } from "./source-value.ts";
import type { SourceNode } from "./source-workflow.ts";

/* Kinds of which no export is known: they are read by the names that the vendor documents, and say so. */

type Import = (node: SourceNode, text: NodeText) => JsonObject;

export const importResponse: Import = ({ input }, text) => {
  notVerified(text);
  const value = first(input, ["data", "response", "body"]) ?? null;
  const json = isEmpty(value) ? "null" : text.json(value, "input_data.data");
  const status = Number(textOf(first(input, ["status_code", "statusCode"])) || "200");
  const isTaken = Number.isInteger(status) && ((status >= 200 && status < 300) || (status >= 400 && status < 600));
  const isKept = isTaken && ![200, 202, 204, 205, 206].includes(status);
  if (!isKept && status !== 200) {
    text.issues.warn(
      "STATUS_CODE_DROPPED",
      `A Response cannot set the status ${status}.`,
      text.place("input_data.status_code"),
    );
  }
  return {
    response: {
      data: json ?? JSON.stringify(text.of(value, "input_data.data")),
      ...(isKept && { status_code: status }),
    },
  };
};

export const importGroup: Import = ({ input, document }, text) => {
  notVerified(text);
  const concurrency = Number(textOf(first(input, ["concurrent_batches", "concurrency"])));
  const output = first(input, ["output_data", "output"]);
  const json = isEmpty(output) ? undefined : text.json(output, "input_data.output_data");
  const breaks = objectOf(first(input, ["break_condition", "break_cases", "break_when"]));
  const { allow_partial_success: allowsPartialSuccess } = settingsOf(document);
  return {
    group: {
      ...groupMode(input, text),
      ...(Number.isInteger(concurrency) && concurrency >= 1 && { concurrency: Math.min(concurrency, 100) }),
      ...(json !== undefined && { output: json }),
      ...(objectsOf(breaks["compare_value_of"]).length > 0 && {
        break_when: importRule(breaks, text, "input_data.break_condition"),
      }),
      ...(allowsPartialSuccess === true && { allow_partial_success: true }),
    },
  };
};

function groupMode(input: JsonObject, text: NodeText): JsonObject {
  const condition = objectOf(first(input, ["loop_condition", "condition", "do_while"]));
  if (objectsOf(condition["compare_value_of"]).length > 0) {
    return { do_while: { condition: importRule(condition, text, "input_data.loop_condition") } };
  }
  const array = first(input, ["fanout_array", "array", "array_to_iterate"]);
  const lone = isEmpty(array) ? undefined : text.lone(array, "input_data.fanout_array");
  if (lone !== undefined) {
    return { array: lone };
  }
  const count = first(input, ["iteration_count", "iterations", "count"]);
  if (isEmpty(count)) {
    const message = "How often the loop runs was not found; it never does now.";
    text.issues.warn("VALUE_UNREADABLE", message, text.place("input_data", textOf(array)));
  }
  return { count: isEmpty(count) ? "0" : text.of(count, "input_data.iteration_count").slice(0, 10_000).toWellFormed() };
}

export const importDelay: Import = ({ input }, text) => {
  notVerified(text);
  const until = first(input, ["date", "until", "wait_till"]);
  if (!isEmpty(until)) {
    return { delay: { until: text.of(until, "input_data.date") } };
  }
  const value = first(input, ["seconds", "duration", "delay", "value", "wait_for"]);
  const unit = textOf(first(input, ["unit", "delay_unit", "duration_unit"])).toLowerCase();
  const factor =
    [
      ["d", 86_400],
      ["h", 3_600],
      ["m", 60],
    ].find(([letter]) => unit.startsWith(String(letter)) && !unit.startsWith("ms"))?.[1] ?? 1;
  const plain = textOf(value).trim();
  if (/^\d{1,9}$/.test(plain)) {
    return { delay: { seconds: String(Number(plain) * Number(factor)) } };
  }
  if (plain === "" || factor !== 1) {
    text.issues.warn(
      "VALUE_UNREADABLE",
      "How long it waits was not found; it waits for 0 seconds.",
      text.place("input_data", plain),
    );
    return { delay: { seconds: "0" } };
  }
  return { delay: { seconds: text.of(value, "input_data.seconds") } };
};

export const importTerminate: Import = ({ input, action }, text) => {
  notVerified(text);
  const words = [action, textOf(input["status"]), textOf(input["type"]), textOf(input["result"])].join(" ");
  if (/iteration|loop/i.test(words)) {
    const message = "Only the whole execution can be ended here, not an iteration or a loop.";
    text.issues.warn("SETTING_NOT_IMPORTED", message, text.place("action", words.trim()));
  }
  const message = text.of(input["message"], "input_data.message");
  const isError = /error|fail/i.test(words);
  return { terminate: { result: isError ? "ERROR" : "SUCCESS", ...(message !== "" && { message }) } };
};

export const importMerge: Import = () => ({ merge: { on_missing: "FAIL" } });

/** A Switch whose cases leave by a port for each. */
export const importSwitch: Import = ({ input }, text) => {
  notVerified(text);
  const cases = objectsOf(first(input, ["cases", "switch_cases"])).slice(0, 50);
  const value = first(input, ["value", "evaluator", "case_param", "input"]) ?? null;
  if (cases.length === 0 || isEmpty(value)) {
    text.issues.warn(
      "VALUE_UNREADABLE",
      "The cases or the value of the Switch were not found.",
      text.place("input_data"),
    );
  }
  return {
    switch: {
      value: text.of(value, "input_data.value") || "-",
      cases: cases.map((one, index) => ({
        port: switchPort(index),
        value: text.of(one["case_value"] ?? one["value"], `input_data.cases[${index}]`),
      })),
    },
  };
};

export function switchPort(index: number): string {
  return `case_${index + 1}`;
}

/** The port of a Switch's edge: the case of its handle, by its value or its place. */
export function portOfCase({ input }: SourceNode, handle: string | undefined): string | undefined {
  const cases = objectsOf(first(input, ["cases", "switch_cases"])).slice(0, 50);
  if (handle === undefined || handle === "default") {
    return undefined;
  }
  const place = cases.findIndex((one) => ["case_value", "value", "id"].some((name) => textOf(one[name]) === handle));
  const index = place === -1 && /^\d{1,2}$/.test(handle) ? Number(handle) : place;
  return index >= 0 && index < cases.length ? switchPort(index) : undefined;
}

export const importWebhookWait: Import = ({ input }, text) => {
  notVerified(text);
  if (!isEmpty(first(input, ["security_headers", "headers"]))) {
    const message = "The headers that a call must have are not imported, since they may be secrets. Set them.";
    text.issues.warn("SECRET_IN_DEFINITION", message, text.place("input_data.security_headers"));
  }
  return { wait_for_webhook: {} };
};

/** The settings of a node, from where exports have them. */
export function settingsOf(document: JsonObject): JsonObject {
  return objectOf(objectOf(document["additional_node_properties"])["node_settings"]);
}

function first(input: JsonObject, names: readonly string[]): JsonValue | undefined {
  return names.map((name) => input[name]).find((value) => value !== undefined && value !== null);
}

function notVerified(text: NodeText): void {
  const message =
    "No export with a node of this kind is known; it is read as the vendor documents it. Compare it with the original.";
  text.issues.warn("SHAPE_NOT_VERIFIED", message, text.place("input_data"));
}
