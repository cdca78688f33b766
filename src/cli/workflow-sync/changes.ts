import { type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { printable } from "../output/output.ts";
import { withNormalTexts } from "../workflow-file/json-text-field.ts";

/** One difference. `before` or `after` is absent for what is added or removed. */
export type Change = { readonly path: string; readonly before?: JsonValue; readonly after?: JsonValue };

/** The differences of two definitions. Nodes are matched by id, edges by their ends; their order does not matter. */
export function definitionChanges(before: WorkflowDefinition, after: WorkflowDefinition): readonly Change[] {
  return [...between(keyed(before), keyed(after), [])];
}

/** The differences of two values, each with its path. */
export function jsonChanges(before: JsonValue, after: JsonValue): readonly Change[] {
  return [...between(before, after, [])];
}

export function changeText({ path, before, after }: Change): string {
  const lines = [
    ...(before === undefined ? [] : [`- ${JSON.stringify(before)}`]),
    ...(after === undefined ? [] : [`+ ${JSON.stringify(after)}`]),
  ];
  return [path, ...lines.map((line) => `  ${printable(line)}`)].join("\n");
}

export function changeJson({ path, before, after }: Change): JsonObject {
  return { path, ...(before !== undefined && { before }), ...(after !== undefined && { after }) };
}

function keyed(definition: WorkflowDefinition): JsonObject {
  // The JSON of a message of ours is an object, and so are its nodes and edges.
  const {
    nodes = [],
    edges = [],
    ...rest
  } = withNormalTexts(WorkflowDefinitionSchema, toJson(WorkflowDefinitionSchema, definition)) as JsonObject;
  const members: [string, JsonValue][] = [];
  const counts = new Map<string, number>();
  const add = (name: string, value: JsonValue) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    members.push([count === 1 ? name : `${name} (${count})`, value]);
  };
  for (const node of nodes as JsonObject[]) {
    add(`node ${node["id"]}`, node);
  }
  for (const edge of edges as JsonObject[]) {
    add(`edge ${edge["source"]} ${edge["port"] ?? "next"} → ${edge["target"]}`, edge);
  }
  return Object.fromEntries([...Object.entries(rest), ...members]);
}

function* between(
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  names: readonly string[],
): Iterable<Change> {
  if (isObject(before) && isObject(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      yield* between(before[name], after[name], [...names, name]);
    }
  } else if (Array.isArray(before) && Array.isArray(after)) {
    for (let index = 0; index < Math.max(before.length, after.length); index += 1) {
      yield* between(before[index], after[index], [...names.slice(0, -1), `${names.at(-1)}[${index}]`]);
    }
  } else if (JSON.stringify(before) !== JSON.stringify(after)) {
    yield { path: pathText(names), ...(before !== undefined && { before }), ...(after !== undefined && { after }) };
  }
}

/** For example `node 2 response.data`. */
function pathText([first = "", ...rest]: readonly string[]): string {
  if (rest.length === 0) {
    return first;
  }
  return `${first}${/^(node|edge) /.test(first) ? " " : "."}${rest.join(".")}`;
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
