import { create, type JsonValue } from "@bufbuild/protobuf";
import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { type GroupNode, RuleNodeSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import type { GroupMode, GroupStep, Subgraph } from "../graph/graph.ts";
import { iterationCount } from "../graph/iteration-count.ts";
import { compileRule } from "../rules/compile-rule.ts";
import type { Field } from "../templates/field.ts";
import { compileJson } from "../templates/json-template.ts";
import type { Reference, Template } from "../templates/reference.ts";
import { compileInput, compileValue } from "../templates/text-template.ts";

const concurrencyMax = 100;
const concurrencyDefault = 50;

/** The fields that are evaluated at the end of each iteration, and can read the nodes inside of it. */
export const iterationEndFields: readonly string[] = ["group.output", "group.break_when", "group.do_while"];

/** Compiles a Group, and reports every problem in it. The step is made later, when the subgraph of the Group is linked. */
export function compileGroup(node: GroupNode, limits: Limits, field: Field): (subgraph: Subgraph) => GroupStep {
  const { breakWhen: rule, output: json, allowPartialSuccess: allowsPartialSuccess = false } = node;
  const mode = compileMode(node.mode, field);
  const concurrency = compileConcurrency(node, field.member("concurrency"));
  const breakWhen = rule && compileRule(rule, field.member("break_when"));
  const output = json === undefined ? undefined : compileJson(json, limits.output, field.member("output"));
  const step = { kind: "group", mode, concurrency, allowsPartialSuccess } as const;
  return (subgraph) => ({ ...step, subgraph, ...(breakWhen && { breakWhen }), ...(output && { output }) });
}

function compileMode(mode: GroupNode["mode"], field: Field): GroupMode {
  switch (mode.case) {
    case "array":
      return { kind: "array", array: compileArray(mode.value, field.member("array")) };
    case "count":
      return { kind: "count", count: compileCount(mode.value, field.member("count")) };
    case "doWhile": {
      const condition = mode.value.condition ?? create(RuleNodeSchema);
      return { kind: "do_while", condition: compileRule(condition, field.member("do_while.condition")) };
    }
    case undefined:
      field.error("GROUP_MODE_MISSING", "The Group does not say how often it runs. Set array, count or do_while.");
      return { kind: "do_while", condition: () => false };
    default:
      return unreachable(mode);
  }
}

function compileArray(text: string, field: Field): Reference {
  const { reference } = compileInput(text, field);
  if (reference === undefined) {
    field.error(
      "GROUP_ARRAY_INVALID",
      "A Group needs the array that it goes through: one template and nothing beside it, as {{event.body.items}}.",
    );
    return { text: "", source: { kind: "event_body" }, path: [] };
  }
  return reference;
}

function compileCount(text: string, field: Field): Template<JsonValue> {
  const count = compileValue(text, field);
  if (count.references.length === 0 && iterationCount(count.render({ read: () => undefined })) === undefined) {
    field.error("GROUP_COUNT_INVALID", "A Group's count must be a whole number from 0, or a template that gives one.");
  }
  return count;
}

/** Iterations run one at a time where each decides whether another one follows. */
function compileConcurrency({ mode, concurrency, breakWhen }: GroupNode, field: Field): number {
  if (concurrency !== undefined && (concurrency < 1 || concurrency > concurrencyMax)) {
    const message = `A Group runs 1 to ${concurrencyMax} iterations at a time, not ${concurrency}.`;
    field.error("CONCURRENCY_INVALID", message);
    return concurrency;
  }
  if (mode.case === "doWhile") {
    if (concurrency !== undefined && concurrency > 1) {
      const message = "The iterations of a do_while run one at a time. Set concurrency to 1, or leave it out.";
      field.error("CONCURRENCY_INVALID", message);
    }
    return 1;
  }
  const given = concurrency ?? concurrencyDefault;
  if (breakWhen !== undefined && given > 1) {
    const message = `break_when is for iterations that run one at a time, and here it is ${given}. Set concurrency to 1.`;
    field.error("CONCURRENCY_INVALID", message);
  }
  return given;
}
