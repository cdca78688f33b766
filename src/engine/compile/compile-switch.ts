import { unreachable } from "../../domain/unreachable.ts";
import type { SwitchCase as SwitchCaseMessage, SwitchNode } from "../../gen/flowcall/v1/definition_pb.ts";
import type { SwitchCase, SwitchStep } from "../graph/graph.ts";
import { compileRule } from "../rules/compile-rule.ts";
import type { Field } from "../templates/field.ts";
import { compileText, compileValue } from "../templates/text-template.ts";

/** Ports that mean something else, here or at other kinds of node. */
const reservedPorts = ["default", "each", "try", "catch", "error"];

/** Compiles a Switch, and reports every problem in it. */
export function compileSwitch({ value, cases }: SwitchNode, field: Field): SwitchStep {
  if (cases.length === 0) {
    field.member("cases").error("CASES_MISSING", "The Switch has no case. Add one.");
  }
  if (value === "" && cases.some(({ match }) => match.case === "value")) {
    field
      .member("value")
      .error("SWITCH_VALUE_MISSING", "The Switch does not say which value its cases are for. Set it.");
  }
  const ports = new Set<string>();
  const values = new Map<string, string>();
  return {
    kind: "switch",
    value: compileValue(value, field.member("value")),
    cases: cases.map((one, index) => {
      const member = field.member(`cases[${index}]`);
      checkPort(one.port, ports, member.member("port"));
      const compiled = compileCase(one, member);
      warnOfRepeated(compiled, values, member);
      return compiled;
    }),
  };
}

function checkPort(port: string, ports: Set<string>, field: Field): void {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(port) || reservedPorts.includes(port)) {
    const message = `The port ${JSON.stringify(port)} must be 1 to 64 letters, digits, "_" or "-", and none of ${reservedPorts.join(", ")}.`;
    field.error("PORT_INVALID", message);
  } else if (ports.has(port)) {
    field.error("PORT_DUPLICATE", `Another case has the port "${port}". Give each a port of its own.`);
  }
  ports.add(port);
}

function compileCase({ port, match }: SwitchCaseMessage, field: Field): SwitchCase {
  switch (match.case) {
    case "value":
      return { port, value: compileText(match.value, field.member("value")) };
    case "when":
      return { port, when: compileRule(match.value, field.member("when")) };
    case undefined:
      field.error("CASE_MATCH_MISSING", "The case does not say when it matches. Set value or when.");
      return { port, when: () => false };
    default:
      return unreachable(match);
  }
}

/** A case whose value an earlier one has already never matches. */
function warnOfRepeated({ port, value }: SwitchCase, values: Map<string, string>, field: Field): void {
  if (value === undefined || value.references.length > 0) {
    return;
  }
  const text = value.render({ read: () => undefined });
  const earlier = values.get(text);
  if (earlier === undefined) {
    values.set(text, port);
  } else {
    const message = `The case "${earlier}" comes first and has the same value, so this one never matches. Remove one.`;
    field.member("value").warn("CASE_DUPLICATE", message);
  }
}
