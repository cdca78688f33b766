import { basename, dirname, extname, resolve } from "node:path";
import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument, stringify, visit } from "yaml";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { meant } from "../said/nearest.ts";
import { type FileProblem, problemAt } from "./file-problem.ts";
import { messageProblems } from "./message-problems.ts";

export type FilePath = readonly (string | number)[];

/** What stands above the definition. */
export type Header = {
  readonly name: string;
  readonly slug: string;
  readonly alias: string;
  readonly description?: string;
};

/** A workflow as a file says it; broken where there are problems. */
export type WorkflowFile = {
  /** As it was named, or found. */
  readonly name: string;
  readonly header: Header;
  readonly definition: WorkflowDefinition;
  readonly nodeIds: readonly (string | undefined)[];
  readonly problems: readonly FileProblem[];
  /** Where a path, or what is left of it, stands in the file. */
  placeOf(path: FilePath): { readonly line: number; readonly column: number };
};

const headerNames = ["$schema", "name", "alias", "slug", "description", "definition"];

/** Reads YAML, of which JSON is a part. Never throws: what is wrong is in `problems`. */
export function readWorkflowFile(name: string, text: string): WorkflowFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const json = document.errors.length > 0 ? undefined : jsonOf(document);
  const members: JsonObject = isObject(json) ? json : {};
  const file = {
    name,
    header: headerOf(name, members),
    nodeIds: nodeIdsOf(members["definition"]),
    placeOf: (path: FilePath) => place(offsetOf(document, path)),
  };
  const at = (offset: number, message: string): FileProblem => {
    return { file: name, severity: "error", ...place(offset), field: "", reason: "INVALID_YAML", message };
  };
  const broken = document.errors.map(({ pos, message }) => at(pos[0], message));
  const inexact = inexactNumbers(document).map(({ offset, message }) => at(offset, message));
  const empty = { ...file, definition: create(WorkflowDefinitionSchema) };
  if (broken.length > 0) return { ...empty, problems: broken };
  if (!isObject(json)) return { ...empty, problems: [at(0, "A workflow file holds an object: name, definition.")] };
  const { message, problems } = messageProblems(WorkflowDefinitionSchema, members["definition"] ?? {});
  const inDefinition = problems.map(({ path, message }) => ({ path: ["definition", ...path], message }));
  const found = [...headerProblems(members), ...inDefinition].map(({ path, message }) => {
    return problemAt({ ...empty, problems: [] }, path, { reason: "INVALID_FIELD", message });
  });
  return { ...file, definition: message, problems: [...inexact, ...found] };
}

/** The text of a workflow file; `schema` is where an editor finds the schema. */
export function workflowFileText(header: Header, definition: JsonValue, schema: string, isJson: boolean): string {
  const members = { ...header, definition };
  if (isJson) return `${JSON.stringify({ $schema: schema, ...members }, undefined, 2)}\n`;
  return `# yaml-language-server: $schema=${schema}\n${stringify(members, { lineWidth: 0 })}`;
}

function jsonOf(document: Document): JsonValue {
  // YAML's core schema has no values that JSON lacks, but for the numbers that are looked for beside.
  return document.toJS() as JsonValue;
}

/** What the file's place says where the file does not. */
function headerOf(name: string, members: JsonObject): Header {
  const text = (member: string) => (typeof members[member] === "string" ? members[member] : undefined);
  const description = text("description");
  return {
    name: text("name") ?? "",
    slug: text("slug") ?? basename(dirname(resolve(name))),
    alias: text("alias") ?? basename(name, extname(name)),
    ...(description !== undefined && { description }),
  };
}

type Found = { readonly path: FilePath; readonly message: string };

function headerProblems(members: JsonObject): readonly Found[] {
  const unknown = Object.keys(members).filter((member) => !headerNames.includes(member));
  const given = headerNames.filter((member) => member !== "definition" && members[member] !== undefined);
  const missing = ["name", "definition"].filter((member) => members[member] === undefined);
  return [
    ...unknown.map((member) => ({ path: [member], message: `is not known.${meant(member, headerNames)}` })),
    ...given
      .filter((member) => typeof members[member] !== "string")
      .map((member) => ({ path: [member], message: "must be a text" })),
    ...missing.map((member) => ({ path: [member], message: "is missing" })),
  ];
}

function nodeIdsOf(definition: JsonValue | undefined): readonly (string | undefined)[] {
  const nodes = isObject(definition) ? definition["nodes"] : undefined;
  if (!Array.isArray(nodes)) return [];
  return nodes.map((node) => (isObject(node) && typeof node["id"] === "string" ? node["id"] : undefined));
}

/** Integers that a double cannot hold, and what is no number, would not arrive as they are written. */
function inexactNumbers(document: Document): readonly { readonly offset: number; readonly message: string }[] {
  const found: { offset: number; message: string }[] = [];
  visit(document, {
    Scalar: (_, { value, source = "", range }) => {
      if (typeof value !== "number" || (Number.isFinite(value) && !/^[-+]?\d+$/.test(source))) return;
      if (Number.isSafeInteger(value)) return;
      found.push({ offset: range?.[0] ?? 0, message: `${source} cannot be sent as a number; write a text` });
    },
  });
  return found;
}

/** Where a path begins in the text: at its name, or at that of the last part of it that is there. */
function offsetOf(document: Document, path: FilePath): number {
  for (let length = path.length; length > 0; length -= 1) {
    const [parent, last] = [document.getIn(path.slice(0, length - 1), true), path[length - 1]];
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(last));
      if (isPair(pair) && isNode(pair.key)) return pair.key.range?.[0] ?? 0;
    }
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node)) return node.range?.[0] ?? 0;
  }
  return 0;
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
