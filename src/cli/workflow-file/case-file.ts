import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { didYouMean } from "../../domain/nearest.ts";
import { readText } from "../input/read-text.ts";
import type { FileProblem } from "./file-problem.ts";
import type { WorkflowFile } from "./workflow-file.ts";
import { caseFilesOf, isThere } from "./workflow-folder.ts";
import { readYaml, type YamlFile } from "./yaml-document.ts";

/** One test case of a workflow. */
export type Case = {
  readonly name: string;
  /** The draft's sample payload if absent. */
  readonly payload?: JsonObject;
  /** Outputs for nodes, by their ids or paths. These nodes do not run. */
  readonly outputs: JsonObject;
  /** The whole expected response; any response if absent. */
  readonly expect?: JsonValue;
  /** The reason of the expected failure. */
  readonly error?: string;
  /** The HTTP status that the Response node must set. */
  readonly statusCode?: number;
  readonly account?: string;
};

export type CaseFile = {
  readonly name: string;
  readonly cases: readonly Case[];
  readonly problems: readonly FileProblem[];
};

const fileNames = ["cases"];
const caseNames = ["name", "payload", "outputs", "expect", "error", "status_code", "account"];

/** Reads the test cases beside a workflow's file: `order.test.yaml` beside `order.yaml`. Undefined if there are none. */
export async function readCases(workflow: WorkflowFile): Promise<CaseFile | undefined> {
  for (const name of caseFilesOf(workflow.name)) {
    if (await isThere(name)) {
      return readCaseFile(name, readYaml(await readText(name)), workflow);
    }
  }
  return undefined;
}

function readCaseFile(name: string, yaml: YamlFile, workflow: WorkflowFile): CaseFile {
  const problems: FileProblem[] = yaml.problems.map(({ offset, message }) => {
    return { file: name, severity: "error", ...yaml.offsetAt(offset), field: "", reason: "INVALID_YAML", message };
  });
  const report = (path: readonly (string | number)[], message: string) => {
    const [last = ""] = path.slice(-1);
    const place = yaml.offsetAt(yaml.placeOf(path));
    problems.push({ file: name, severity: "error", ...place, field: String(last), reason: "INVALID_FIELD", message });
  };
  if (problems.length > 0) {
    return { name, cases: [], problems };
  }
  const root = isObject(yaml.json) ? yaml.json : {};
  for (const member of Object.keys(root)) {
    if (!fileNames.includes(member)) {
      report([member], `is not known.${didYouMean(member, fileNames)}`);
    }
  }
  const list = root["cases"];
  if (!Array.isArray(list) || list.length === 0) {
    report([], "a case file holds cases: a list of {payload, outputs, expect}");
  }
  const cases = (Array.isArray(list) ? list : []).map((item, index) => {
    return caseOf(item, workflow, (path, message) => report(["cases", index, ...path], message), index);
  });
  return { name, cases, problems };
}

type Report = (path: readonly string[], message: string) => void;

function caseOf(item: JsonValue, workflow: WorkflowFile, report: Report, index: number): Case {
  if (!isObject(item)) {
    report([], "a case is an object of payload, outputs and expect");
    return { name: String(index + 1), outputs: {} };
  }
  for (const member of Object.keys(item)) {
    if (!caseNames.includes(member)) {
      report([member], `is not known.${didYouMean(member, caseNames)}`);
    }
  }
  const { payload, outputs, expect, error, account, name, status_code: statusCode } = item;
  for (const member of ["payload", "outputs"]) {
    if (item[member] !== undefined && !isObject(item[member])) {
      report([member], "must be an object");
    }
  }
  for (const member of ["name", "error", "account"]) {
    if (item[member] !== undefined && typeof item[member] !== "string") {
      report([member], "must be a text");
    }
  }
  if (expect !== undefined && error !== undefined) {
    report(["error"], "cannot stand beside expect: a run that fails has no response");
  }
  return {
    name: typeof name === "string" ? name : `case ${index + 1}`,
    ...(isObject(payload) && { payload }),
    outputs: isObject(outputs) ? byId(outputs, workflow, report) : {},
    ...(expect !== undefined && { expect }),
    ...(typeof error === "string" && { error }),
    ...(typeof account === "string" && { account }),
    ...(typeof statusCode === "number" && { statusCode }),
  };
}

/** Replaces names of nodes by their ids; ids and paths stay. */
function byId(outputs: JsonObject, { definition }: WorkflowFile, report: Report): JsonObject {
  const ids = new Set(definition.nodes.map(({ id }) => id));
  const members = Object.entries(outputs).map(([word, output]): [string, JsonValue] => {
    const [first = "", ...inner] = word.split(/(?=[[/])/);
    const node = ids.has(first) ? first : definition.nodes.find(({ name }) => name === word || name === first)?.id;
    if (node === undefined) {
      const known = definition.nodes.flatMap(({ id, name }) => [id, name]);
      report(["outputs", word], `is not a node.${didYouMean(word, known)}`);
    }
    return [node === undefined || ids.has(first) ? word : [node, ...(ids.has(word) ? [] : inner)].join(""), output];
  });
  return Object.fromEntries(members);
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
