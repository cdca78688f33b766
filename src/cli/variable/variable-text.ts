import type { JsonObject } from "@bufbuild/protobuf";
import { member } from "../execution/execution-text.ts";
import { printable } from "../output/output.ts";

export const variableService = "flowcall.v1.VariableService";

/** What may be shown of a variable's value. */
export function valueText(variable: JsonObject): string {
  return variable["is_secret"] === true
    ? `secret ${member(variable, "hint") ?? ""}`
    : (member(variable, "value") ?? "");
}

export function hostsText(variable: JsonObject): string {
  return [variable["hosts"] ?? []].flat().join(", ");
}

/** A variable as one line. */
export function variableText(variable: JsonObject): string {
  return printable(`${member(variable, "name")}  ${valueText(variable)}  ${hostsText(variable)}`.trimEnd());
}
