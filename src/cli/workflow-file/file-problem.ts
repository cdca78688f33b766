import type { JsonObject } from "@bufbuild/protobuf";
import type { WorkflowProblem } from "../../gen/flowcall/v1/workflow_pb.ts";
import { type Output, printable } from "../output/output.ts";

/** One problem of a workflow file. Lines and columns are counted from 1. */
export type FileProblem = {
  readonly file: string;
  readonly severity: "error" | "warning";
  readonly line?: number;
  readonly column?: number;
  readonly nodeId?: string;
  readonly field: string;
  readonly reason: string;
  readonly message: string;
};

/** The names and indexes that lead to a value of the file. */
export type FilePath = readonly (string | number)[];

/** The parts of a workflow file by which a problem gets its line and its node. */
type ProblemSource = {
  readonly name: string;
  readonly nodeIds: readonly (string | undefined)[];
  placeOf(path: FilePath): { readonly line: number; readonly column: number };
};

/** Makes the problem of a path in the file. Its `field` is relative to the node, if the path leads into one. */
export function problemAt(
  file: ProblemSource,
  path: FilePath,
  problem: Pick<FileProblem, "reason" | "message"> & { readonly severity?: "error" | "warning" },
): FileProblem {
  const [first, second, index, ...inner] = path;
  const node =
    first === "definition" && second === "nodes" && typeof index === "number" ? file.nodeIds[index] : undefined;
  return {
    file: file.name,
    severity: "error",
    ...file.placeOf(path),
    ...(node !== undefined && { nodeId: node }),
    field: fieldText(node === undefined ? path : inner),
    ...problem,
  };
}

/** Makes the problem of a file from one that the server found in its definition. */
export function problemOfServer(
  file: ProblemSource,
  { nodeId, field, reason, message }: WorkflowProblem,
  severity: FileProblem["severity"],
): FileProblem {
  const index = nodeId === undefined ? -1 : file.nodeIds.indexOf(nodeId);
  const inner = [...field.matchAll(/[^.[\]]+/g)].map(([part]) => (/^\d+$/.test(part) ? Number(part) : part));
  const place = file.placeOf(index === -1 ? ["definition", ...inner] : ["definition", "nodes", index, ...inner]);
  return { file: file.name, severity, ...place, ...(nodeId !== undefined && { nodeId }), field, reason, message };
}

function fieldText(path: FilePath): string {
  return path.map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`)).join("");
}

/** Prints problems for people, as JSON, or as annotations that GitHub shows beside the lines. */
export function printProblems(problems: readonly FileProblem[], output: Output, isForGithub: boolean): void {
  if (isForGithub) {
    for (const problem of problems) {
      output.value(null, annotation(problem));
    }
  } else if (output.format === "text") {
    for (const problem of problems) {
      output.value(null, problemLine(problem));
    }
  } else {
    output.table(problems.map(problemJson), []);
  }
}

export function problemLine({ file, line, column, severity, nodeId, field, reason, message }: FileProblem): string {
  const place = line === undefined ? file : `${file}:${line}:${column}`;
  const where = [nodeId === undefined ? "" : `node ${nodeId}`, field].filter((text) => text !== "").join(" ");
  return printable(`${place}: ${severity}: ${where === "" ? "" : `${where}: `}${message} (${reason})`);
}

function problemJson({ nodeId, ...problem }: FileProblem): JsonObject {
  return { ...problem, ...(nodeId !== undefined && { node_id: nodeId }) };
}

/** A workflow command of GitHub Actions. Its escapes keep text from becoming another command. */
function annotation({ file, line, column, severity, nodeId, field, reason, message }: FileProblem): string {
  const properties = [
    `file=${escaped(file)}`,
    ...(line === undefined ? [] : [`line=${line}`, `col=${column}`]),
    `title=${escaped(reason)}`,
  ];
  const text = `${nodeId === undefined ? "" : `node ${nodeId}: `}${field === "" ? "" : `${field}: `}${message}`;
  return `::${severity} ${properties.join(",")}::${escapedText(text)}`;
}

function escapedText(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escaped(text: string): string {
  return escapedText(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
