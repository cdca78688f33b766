// Imports of exported workflows of Refold.
//
// - It is pure: it looks nothing up, runs nothing, and gives the same for the same input.
// - It refuses only what has no graph that could run; whatever else is not understood is an issue.
// - What it cannot import becomes a node that fails, with the inputs that the original had: a test gives it its output.
// - The edges are the graph. What nothing leads to is left out, but for nodes that templates read: those give null.

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { readMessage } from "../../domain/json/json-structs.ts";
import { isObject } from "../../domain/json/violations.ts";
import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { importEdges } from "./import-edges.ts";
import { importFields, importSample } from "./import-fields.ts";
import { type ImportIssue, IssueList } from "./import-issue.ts";
import { importNode, nothing } from "./import-node.ts";
import { type ImportNeeds, NeedList } from "./needs.ts";
import { NodeIndex } from "./node-index.ts";
import { NodeText } from "./node-text.ts";
import { References } from "./references.ts";
import { isEmpty, listOf, objectOf, objectsOf, textOf } from "./source-value.ts";
import { readSource, type SourceNode, type SourceWorkflow } from "./source-workflow.ts";

export type ImportedWorkflow = ImportNeeds & {
  readonly name: string;
  readonly description: string;
  /** The slug of its integration in the export; empty where it has none. */
  readonly slug: string;
  /** Empty where it has none that is one here. */
  readonly alias: string;
  readonly definition: WorkflowDefinition;
  readonly issues: readonly ImportIssue[];
};

/** Throws UnusableSource, with all that is wrong, for an export without a graph that could run. */
export function importRefold(json: JsonValue): ImportedWorkflow {
  const source = readSource(json);
  const index = new NodeIndex(source.nodes, source.edges);
  const issues = new IssueList();
  const references = new References(index, source.configFields, issues);
  const needs = new NeedList();
  const kept = source.nodes.filter(({ id }) => index.reachable.has(id));
  const textsOf = ({ id }: SourceNode) => new NodeText(index.idOf(id), references, issues);
  // How a node is written depends on what later ones read of it, so all templates are read once before.
  issues.silently(() => {
    for (const node of kept) {
      importNode(node, { text: textsOf(node), needs: new NeedList() });
    }
  });
  const nodes = kept.map((node) => ({
    id: index.idOf(node.id),
    ...(node.parentId !== undefined && { group_id: index.idOf(node.parentId) }),
    ...importNode(node, { text: textsOf(node), needs }),
  }));
  noteNodes(source, { index, references, issues });
  noteWorkflow(source, issues);
  const fields = importFields(source, references, issues);
  const definition = {
    nodes: [...nodes, ...parkedNodes(source, index, references)].map((node) =>
      withTrigger(node, source, references, issues),
    ),
    edges: importEdges(source, index, issues),
    on_failure: "FINISH_BRANCHES",
    fields,
  };
  const applicationFields = [...references.applicationFields].toSorted();
  const ids = source.nodes.map(({ id }) => index.idOf(id));
  return {
    name: source.name.slice(0, 200).toWellFormed() || "Imported workflow",
    description: source.description.slice(0, 2_000).toWellFormed(),
    slug: namePattern.test(source.slug) ? source.slug : "",
    alias: namePattern.test(source.alias) && !/^[0-9a-f]{24}$/i.test(source.alias) ? source.alias : "",
    definition: readMessage(WorkflowDefinitionSchema, definition),
    integrations: needs.integrations({ slug: source.slug, fields: applicationFields }, references.nodeReads),
    functions: needs.functions(references.nodeReads),
    config: {
      application_fields: Object.fromEntries(applicationFields.map((name) => [name, null])),
      workflow_fields: Object.fromEntries(fields.map(({ name }) => [String(name), null])),
    },
    issues: issues.sorted(ids),
  };
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** The Start node gets a sample of the event, and the schema that calls were checked by. */
function withTrigger(node: JsonObject, source: SourceWorkflow, references: References, issues: IssueList): JsonObject {
  if (node["start"] === undefined) {
    return node;
  }
  const { json_schema: schema, enable_schema_validation: isChecked } = source.document;
  const isKept = isObject(schema) && isChecked === true;
  if (!isEmpty(schema) && !isKept) {
    issues.note("SCHEMA_NOT_IMPORTED", "The schema of the event is not imported, since calls were not checked by it.");
  }
  const payload = importSample(source, references, issues);
  return { ...node, start: { api_call: { payload, ...(isKept && { schema }) } } };
}

/** The nodes that templates read and nothing leads to: each gives null, as the original read it. */
function parkedNodes({ nodes }: SourceWorkflow, index: NodeIndex, { parked }: References): JsonObject[] {
  const names = new Map(nodes.map(({ id, name }) => [index.idOf(id), name]));
  return [...parked].toSorted().map((id) => ({ id, name: names.get(id) ?? "", ...nothing() }));
}

function noteNodes(
  { nodes }: SourceWorkflow,
  {
    index,
    references,
    issues,
  }: { readonly index: NodeIndex; readonly references: References; readonly issues: IssueList },
): void {
  for (const { id, type, document } of nodes) {
    const nodeId = index.idOf(id);
    if (nodeId !== id) {
      issues.note("ID_CHANGED", `Its id was ${JSON.stringify(id.slice(0, 100))}.`, { nodeId });
    }
    if (!index.reachable.has(id)) {
      const isRead = references.parked.has(nodeId);
      const message = isRead
        ? "Nothing leads to it; it is kept as null, since templates read it."
        : "Nothing leads to it; it is left out.";
      issues.note("NODE_UNREACHABLE", message, { nodeId });
    }
    if (type === "start") {
      noteTrigger(document, nodeId, issues);
    }
  }
  if (!nodes.some(({ type }) => type === "response")) {
    const message =
      "The workflow has no Response node: a call that waits for its end is answered null. Add one, or the Start node's output.";
    issues.note("RESPONSE_MISSING", message);
  }
}

function noteTrigger(document: JsonObject, nodeId: string, issues: IssueList): void {
  const triggers = objectsOf(document["triggers"]);
  const [trigger] = triggers;
  const isCall = /api call/i.test(textOf(trigger?.["event"])) || trigger === undefined;
  if (!isCall || !isEmpty(document["trigger_cron"])) {
    const what = isEmpty(document["trigger_cron"]) ? "An event" : "A schedule";
    const message = `${what} started the workflow. Here a call does, with the event as its payload; a schedule can be put beside it.`;
    issues.warn("TRIGGER_REPLACED", message, { nodeId, original: JSON.stringify(trigger ?? document["trigger_cron"]) });
  }
}

function noteWorkflow({ document }: SourceWorkflow, issues: IssueList): void {
  const settings = objectOf(document["settings"]);
  if (!isEmpty(settings["timeout"])) {
    const message =
      "The workflow's time-out is not imported: its unit is not documented, and only nodes have one here.";
    issues.warn("TIMEOUT_NOT_IMPORTED", message, { field: "settings.timeout", original: textOf(settings["timeout"]) });
  }
  for (const name of ["omit_all_logs", "omit_completed_logs"]) {
    if (settings[name] === true) {
      const message = "Executions are recorded here all the same; hide_node_request hides the data of a node.";
      issues.warn("LOGS_NOT_HIDDEN", message, { field: `settings.${name}` });
    }
  }
  for (const name of ["workflow_response", "dedup_key", "caching"]) {
    if (!isEmpty(settings[name]) && settings[name] !== false) {
      issues.warn("SETTING_NOT_IMPORTED", "This setting is not imported.", {
        field: `settings.${name}`,
        original: textOf(settings[name]),
      });
    }
  }
  if (listOf(document["udf_filter"]).some((row) => !isEmpty(row))) {
    const message =
      "The filter of linked accounts is not imported: a call runs the workflow for whichever account it names.";
    issues.warn("SETTING_NOT_IMPORTED", message, { field: "udf_filter", original: textOf(document["udf_filter"]) });
  }
  if (document["is_agentic_flow"] === true) {
    issues.warn("SETTING_NOT_IMPORTED", "That the workflow is an agent's is not imported.", {
      field: "is_agentic_flow",
    });
  }
}
