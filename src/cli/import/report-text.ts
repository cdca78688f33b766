import {
  type ImportIssue,
  type ImportWorkflowResponse,
  type NeededOperation,
  ImportIssue_Severity as Severity,
} from "../../gen/flowcall/v1/import_pb.ts";
import { problemText } from "../output/failure.ts";
import { printable } from "../output/output.ts";

/** The report of one import for people: what was made, what has to be put in place, and each issue with its node. */
export function reportText(file: string, reply: ImportWorkflowResponse, written: string | undefined): string {
  const { workflowId, name, definition, issues, errors, warnings } = reply;
  const warningCount = issues.filter(({ severity }) => severity === Severity.WARNING).length;
  const kept = written ?? (workflowId === undefined ? "nothing is kept" : `draft of workflow ${workflowId}`);
  const names = new Map(definition?.nodes.map((node) => [node.id, node.name]));
  return [
    printable(`${file}  ${name}  ${kept}`),
    `  nodes: ${names.size}, fields: ${definition?.fields.length ?? 0}, warnings: ${warningCount}, notes: ${issues.length - warningCount}`,
    ...needs(reply).map((line) => printable(`  needed: ${line}`)),
    ...issues.map((issue) => printable(`  ${issueText(issue, names)}`)),
    ...errors.map((problem) => `  error: ${problemText(problem)}`),
    ...warnings.map((problem) => `  check: ${problemText(problem)}`),
  ].join("\n");
}

function needs({ integrations, functions, config }: ImportWorkflowResponse): readonly string[] {
  const fields = Object.keys(Object(config?.["workflow_fields"]));
  return [
    ...integrations.flatMap(({ slug, nodeIds, fields: own, operations }) => [
      ...(nodeIds.length > 0 ? [`connection to ${slug} (${nodeList(nodeIds)})`] : []),
      ...(own.length > 0 ? [`fields of the integration ${slug}: ${own.join(", ")}`] : []),
      ...operations.map((operation) => `action ${slug}/${operationText(operation)}`),
    ]),
    ...functions.map((operation) => `function ${operationText(operation)}`),
    ...(fields.length > 0 ? [`values of the fields ${fields.join(", ")}`] : []),
  ];
}

function operationText({ name, nodeIds, parameters, outputPaths }: NeededOperation): string {
  const given = parameters.length > 0 ? `; given: ${parameters.join(", ")}` : "";
  const read = outputPaths.length > 0 ? `; read of it: ${outputPaths.map((path) => path || "all").join(", ")}` : "";
  return `${name} (${nodeList(nodeIds)})${given}${read}`;
}

function nodeList(ids: readonly string[]): string {
  return `${ids.length === 1 ? "node" : "nodes"} ${ids.join(", ")}`;
}

function issueText(
  { severity, code, nodeId, field, message, original }: ImportIssue,
  names: ReadonlyMap<string, string>,
): string {
  const word = severity === Severity.WARNING ? "warning" : "note";
  const name = nodeId === undefined ? "" : (names.get(nodeId) ?? "");
  const node = nodeId === undefined ? "" : `node ${nodeId}${name === "" ? "" : ` (${name})`}: `;
  const place = field === undefined ? "" : ` [${field}]`;
  return `${node}${word}: ${message}${place} (${code})${original === undefined ? "" : `: ${original}`}`;
}
