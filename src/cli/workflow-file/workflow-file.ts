import { basename, dirname, extname, resolve } from "node:path";
import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { stringify } from "yaml";
import { didYouMean } from "../../domain/nearest.ts";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { type FilePath, type FileProblem, problemAt } from "./file-problem.ts";
import { messageProblems } from "./message-problems.ts";
import { compact, expanded } from "./shorthand.ts";
import { readYaml, spellingIn } from "./yaml-document.ts";

/** The members beside the definition. */
export type Header = {
  readonly name: string;
  readonly slug: string;
  readonly alias: string;
  readonly description?: string;
};

/** A workflow file. It cannot be used if it has problems. */
export type WorkflowFile = {
  /** Its path. */
  readonly name: string;
  readonly header: Header;
  readonly definition: WorkflowDefinition;
  /** The text, and its JSON, still with shorthand. */
  readonly text: string;
  readonly json: JsonObject;
  readonly nodeIds: readonly (string | undefined)[];
  readonly problems: readonly FileProblem[];
  /** The place of a path, or of its longest existing part. */
  placeOf(path: FilePath): { readonly line: number; readonly column: number };
};

const headerNames = ["$schema", "name", "alias", "slug", "description", "definition"];

/** Reads YAML or JSON. Never throws: errors are in `problems`. */
export function readWorkflowFile(name: string, text: string): WorkflowFile {
  const { document, json, problems: broken, placeOf, offsetAt } = readYaml(text);
  const members: JsonObject = isObject(json) ? json : {};
  const spelling = (path: FilePath) => spellingIn(document, path);
  const definition = expanded(WorkflowDefinitionSchema, members["definition"] ?? {}, spelling, ["definition"]);
  const file = {
    name,
    text,
    json: members,
    header: headerOf(name, members),
    nodeIds: nodeIdsOf(definition),
    placeOf: (path: FilePath) => offsetAt(placeOf(path)),
  };
  const inYaml = broken.map(({ offset, message }): FileProblem => {
    return { file: name, severity: "error", ...offsetAt(offset), field: "", reason: "INVALID_YAML", message };
  });
  const empty = { ...file, definition: create(WorkflowDefinitionSchema) };
  if (!isObject(json)) {
    const message = "a workflow file holds an object with name and definition";
    const at = { file: name, severity: "error", ...offsetAt(0), field: "", reason: "INVALID_YAML", message } as const;
    return { ...empty, problems: inYaml.length > 0 ? inYaml : [at] };
  }
  const { message, problems } = messageProblems(WorkflowDefinitionSchema, definition);
  const inDefinition = problems.map(({ path, message }) => ({ path: ["definition", ...path], message }));
  const found = [...headerProblems(members), ...inDefinition].map(({ path, message }) => {
    return problemAt(file, path, { reason: "INVALID_FIELD", message });
  });
  return { ...file, definition: message, problems: inYaml.length > 0 ? inYaml : found };
}

/** Writes the text of a workflow file. `schema` is the path of the JSON Schema for editors. */
export function workflowFileText(header: Header, definition: JsonObject, schema: string, isJson: boolean): string {
  const members = { ...header, definition: compact(WorkflowDefinitionSchema, definition) };
  if (isJson) {
    return `${JSON.stringify({ $schema: schema, ...members }, undefined, 2)}\n`;
  }
  return `# yaml-language-server: $schema=${schema}\n${stringify(members, { lineWidth: 0 })}`;
}

/** The header, with slug and alias from the path where the file has none. */
function headerOf(name: string, members: JsonObject): Header {
  const text = (member: string) => {
    const value = members[member];
    return value === null || typeof value === "object" ? undefined : value?.toString();
  };
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
    ...unknown.map((member) => ({ path: [member], message: `is not known.${didYouMean(member, headerNames)}` })),
    ...given
      .filter((member) => members[member] === null || typeof members[member] === "object")
      .map((member) => ({ path: [member], message: "must be a text" })),
    ...missing.map((member) => ({ path: [member], message: "is missing" })),
  ];
}

function nodeIdsOf(definition: JsonValue | undefined): readonly (string | undefined)[] {
  const nodes = isObject(definition) ? definition["nodes"] : undefined;
  if (!Array.isArray(nodes)) {
    return [];
  }
  return nodes.map((node) => (isObject(node) && typeof node["id"] === "string" ? node["id"] : undefined));
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
