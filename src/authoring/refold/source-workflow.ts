import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import type { FieldViolation } from "../../domain/request-error.ts";
import { listOf, objectOf, objectsOf, textOf } from "./source-value.ts";

/** A workflow as an export has it, with what matters of it under one name whatever the envelope. */
export type SourceWorkflow = {
  readonly name: string;
  readonly description: string;
  readonly slug: string;
  readonly alias: string;
  readonly nodes: readonly SourceNode[];
  readonly edges: readonly SourceEdge[];
  readonly configFields: readonly SourceField[];
  /** All of it. */
  readonly document: JsonObject;
};

export type SourceNode = {
  readonly id: string;
  readonly name: string;
  /** As `start`, `rule`, or the slug of an application. */
  readonly type: string;
  readonly action: string;
  readonly input: JsonObject;
  /** The node that it is inside of. */
  readonly parentId: string | undefined;
  /** All of it. */
  readonly document: JsonObject;
};

export type SourceEdge = { readonly source: string; readonly target: string; readonly handle: string | undefined };

/** A field that customers configure; or, where it was created by itself, a member of the event. */
export type SourceField = {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly isOfEvent: boolean;
};

/** An export of which no graph can be made: all that is wrong with it. */
export class UnusableSource extends Error {
  readonly violations: readonly FieldViolation[];

  constructor(violations: readonly FieldViolation[]) {
    super(`the export is unusable: ${violations[0]?.field} ${violations[0]?.description}`);
    this.violations = violations;
  }
}

const nodesMax = 500;
const nameMax = 200;
const edgesMax = 5_000;

/** Reads an export of any envelope. Throws UnusableSource where it has no graph that could run. */
export function readSource(json: JsonValue): SourceWorkflow {
  if (!isObject(json)) {
    throw new UnusableSource([{ field: "source", description: "must be a JSON object: one exported workflow" }]);
  }
  const document = unwrapped(json);
  const nodes = listOf(document["nodes"]);
  const edges = listOf(document["edges"]);
  const violations = [
    ...listProblems("nodes", document["nodes"], nodesMax),
    ...(document["edges"] === undefined ? [] : listProblems("edges", document["edges"], edgesMax)),
  ];
  if (violations.length > 0) {
    throw new UnusableSource(violations);
  }
  const source: SourceWorkflow = {
    name: textOf(document["name"]).trim(),
    description: textOf(document["description"]).trim(),
    slug: textOf(document["slug"]).trim(),
    alias: textOf(document["workflow_alias"]).trim(),
    nodes: nodes.map(nodeOf),
    edges: edges.map(edgeOf),
    configFields: objectsOf(document["config_fields"]).map(fieldOf),
    document,
  };
  const problems = [...nodeProblems(nodes, source), ...edgeProblems(source)];
  if (problems.length > 0) {
    throw new UnusableSource(problems);
  }
  return source;
}

/** The reply of the vendor's API has the workflow inside of it. */
function unwrapped(json: JsonObject): JsonObject {
  const inner = json["workflow"];
  return json["nodes"] === undefined && isObject(inner) ? inner : json;
}

function nodeOf(value: JsonValue): SourceNode {
  const document = objectOf(value);
  const parent = ["parentNode", "parentId", "parent_node", "group_id"]
    .map((name) => textOf(document[name]))
    .find((id) => id !== "");
  return {
    id: textOf(document["id"]),
    name: textOf(document["name"]).trim().slice(0, nameMax).toWellFormed(),
    type: textOf(document["type"]),
    action: textOf(document["action"]),
    input: objectOf(document["input_data"]),
    parentId: parent,
    document,
  };
}

function edgeOf(value: JsonValue): SourceEdge {
  const { source, target, sourceHandle } = objectOf(value);
  const handle = textOf(sourceHandle);
  return { source: textOf(source), target: textOf(target), handle: handle === "" ? undefined : handle };
}

function fieldOf(document: JsonObject): SourceField {
  return {
    id: textOf(document["_id"]),
    name: textOf(document["name"]).trim().slice(0, nameMax).toWellFormed(),
    type: textOf(document["type"]),
    isRequired: document["required"] === true,
    isOfEvent: document["auto_created"] === true,
  };
}

function* listProblems(field: string, value: JsonValue | undefined, max: number): Iterable<FieldViolation> {
  if (!Array.isArray(value)) {
    yield { field, description: "must be a list, as an exported workflow has it" };
  } else if (value.length > max) {
    yield { field, description: `has ${value.length} items, and at most ${max} can be imported` };
  }
}

function* nodeProblems(values: readonly JsonValue[], { nodes }: SourceWorkflow): Iterable<FieldViolation> {
  const seen = new Set<string>();
  for (const [index, { id, type }] of nodes.entries()) {
    const place = `nodes[${index}]`;
    if (!isObject(values[index])) {
      yield { field: place, description: "must be a JSON object" };
    } else if (id === "") {
      yield { field: `${place}.id`, description: "is missing" };
    } else if (seen.has(id)) {
      yield { field: `${place}.id`, description: `is ${shown(id)}, as that of another node` };
    }
    if (type === "") {
      yield { field: `${place}.type`, description: "is missing" };
    }
    seen.add(id);
  }
  const starts = nodes.filter(({ type }) => type === "start");
  if (starts.length !== 1) {
    yield { field: "nodes", description: `has ${starts.length} Start nodes, and a workflow has exactly one` };
  }
}

function* edgeProblems({ nodes, edges }: SourceWorkflow): Iterable<FieldViolation> {
  const ids = new Set(nodes.map(({ id }) => id));
  for (const [index, edge] of edges.entries()) {
    for (const end of ["source", "target"] as const) {
      if (!ids.has(edge[end])) {
        yield { field: `edges[${index}].${end}`, description: `is ${shown(edge[end])}, which is no node's id` };
      }
    }
  }
  for (const { id, parentId } of nodes) {
    if (parentId !== undefined && !ids.has(parentId)) {
      yield { field: `nodes.${shown(id)}`, description: `is inside of ${shown(parentId)}, which is no node's id` };
    }
  }
}

export function shown(text: string): string {
  return JSON.stringify(text.length <= 100 ? text : `${text.slice(0, 100).toWellFormed()}…`);
}
