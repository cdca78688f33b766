import type { JsonValue } from "@bufbuild/protobuf";
import type { Port, SwitchCase, SwitchStep } from "../graph/graph.ts";
import { checkOutput } from "../values/check-output.ts";
import type { NodeVisit } from "./node-visit.ts";

/** Looks for the first case that matches, and leaves by its port. Gives a promise only where a condition takes long. */
export function runSwitch({ value: template, cases }: SwitchStep, visit: NodeVisit): Port | Promise<Port> {
  const value = template.render(visit.scope);
  const text = value === null ? undefined : typeof value === "string" ? value : JSON.stringify(value);
  return choose({ value, text, cases }, visit, 0);
}

type Choice = {
  readonly value: JsonValue;
  /** What the cases are compared with; undefined matches none of them. */
  readonly text: string | undefined;
  readonly cases: readonly SwitchCase[];
};

function choose(choice: Choice, visit: NodeVisit, from: number): Port | Promise<Port> {
  for (const [index, one] of choice.cases.entries()) {
    if (index < from) {
      continue;
    }
    const matches = one.when?.(visit.scope, visit.subgraph) ?? one.value?.render(visit.scope) === choice.text;
    if (matches instanceof Promise) {
      return matches.then((isMet) => (isMet ? leave(choice, visit, one) : choose(choice, visit, index + 1)));
    }
    if (matches) {
      return leave(choice, visit, one);
    }
  }
  return leave(choice, visit, undefined);
}

function leave({ value, text }: Choice, visit: NodeVisit, matched: SwitchCase | undefined): Port {
  const { output: limits } = visit.subgraph.state.run.limits;
  const case_value = matched?.value === undefined ? null : (text ?? null);
  const matched_case = matched === undefined ? null : { case_value, port: matched.port };
  const output = checkOutput({ evaluated_value: value, matched_case }, limits);
  return visit.succeed(output, matched?.port ?? "default");
}
