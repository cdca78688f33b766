import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import {
  type Node,
  type StartNode,
  type WorkflowDefinition,
  WorkflowDefinition_OnFailure,
  WorkflowDefinition_RecordInputs,
} from "../../gen/flowcall/v1/definition_pb.ts";
import type { Graph, GraphNode, HiddenParts, InnerPort, Input, RecordsInputs, Step, Subgraph } from "../graph/graph.ts";
import { payloadSchemaOf } from "../schema/payload-schema.ts";
import { PayloadValidator } from "../schema/payload-validator.ts";
import type { Names, Read } from "../templates/names.ts";
import type { Reference, Template } from "../templates/reference.ts";
import { type Link, portsOf } from "./check-structure.ts";
import { iterationEndFields } from "./compile-group.ts";
import type { CompiledNode } from "./compile-node.ts";
import { tryCatchFields } from "./compile-try-catch.ts";
import type { SubgraphPlan } from "./plan-subgraphs.ts";
import { startOutputField } from "./start-output.ts";

type LinkInput = {
  readonly definition: WorkflowDefinition;
  readonly nodes: readonly Node[];
  readonly start: Node | undefined;
  readonly plans: readonly SubgraphPlan[];
  readonly compiled: ReadonlyMap<string, CompiledNode | undefined>;
  readonly names: Pick<Names, "readsFields" | "reads">;
  readonly output: Template<JsonValue> | undefined;
};

/** Links compiled nodes into a graph. The definition has no errors. */
export function linkGraph({ definition, nodes, start, plans, compiled, names, output }: LinkInput): Graph {
  const payloadSchema = payloadSchemaOf(start);
  const root = linkSubgraphs(plans, { compiled, reads: readsByNode(names.reads) });
  const group = nodes.find(({ kind }) => kind.case === "group");
  return {
    root,
    responses: responsesOf(root),
    finishesBranches: finishesBranches(definition),
    hidden: hiddenParts(plans),
    hidesNodes: plans.some((plan) => plan.nodes.some(({ settings }) => settings?.hideNodeRequest === true)),
    beginsExecutions: plans.some((plan) => plan.nodes.some(({ kind }) => kind.case === "subFlow")),
    hasApiCallTrigger: triggerOf(start)?.case === "apiCall",
    readsFields: names.readsFields,
    recordsInputs: recordsInputs.get(definition.recordInputs) ?? "ON_FAILURE",
    fields: definition.fields,
    samplePayload: samplePayloadOf(start) ?? {},
    ...(group && { group: { id: group.id, name: group.name } }),
    ...(output && { output }),
    ...(payloadSchema && { payloadValidator: new PayloadValidator(payloadSchema) }),
  };
}

const recordsInputs: ReadonlyMap<WorkflowDefinition_RecordInputs | undefined, RecordsInputs> = new Map([
  [WorkflowDefinition_RecordInputs.ALWAYS, "ALWAYS"],
  [WorkflowDefinition_RecordInputs.NEVER, "NEVER"],
]);

/** What each node's templates read when it runs. Those that are read when nodes inside have ended are not among them. */
function readsByNode(reads: readonly Read[]): ReadonlyMap<string | undefined, readonly Reference[]> {
  const found = new Map<string | undefined, Reference[]>();
  for (const { location, reference } of reads) {
    const { source, path } = reference;
    // The execution has its whole payload.
    const isPayload = source.kind === "event_body" && path.length === 0;
    const ofNode = found.get(location.nodeId) ?? [];
    found.set(location.nodeId, ofNode);
    if (!isPayload && !isReadAtEnd(location.field) && !ofNode.some(({ text }) => text === reference.text)) {
      ofNode.push(reference);
    }
  }
  return found;
}

function isReadAtEnd(field: string): boolean {
  return [...iterationEndFields, ...tryCatchFields.keys(), startOutputField].some((start) => field.startsWith(start));
}

/** Whether the branches beside a failed node run to their end. */
export function finishesBranches({ onFailure }: Pick<WorkflowDefinition, "onFailure">): boolean {
  return onFailure === WorkflowDefinition_OnFailure.FINISH_BRANCHES;
}

/** The sample of a Start node's trigger. */
export function samplePayloadOf(start: Node | undefined): JsonObject | undefined {
  return triggerOf(start)?.value?.payload;
}

function triggerOf(start: Node | undefined): StartNode["trigger"] | undefined {
  return start?.kind.case === "start" ? start.kind.value.trigger : undefined;
}

/** The steps of the reachable nodes by node id. Subgraphs inside of steps are empty here. */
export function stepsOf(
  plans: readonly SubgraphPlan[],
  compiled: ReadonlyMap<string, CompiledNode | undefined>,
): ReadonlyMap<string, Step> {
  const ids = plans.flatMap(({ nodes }) => nodes.map(({ id }) => id));
  const steps = ids.map((id) => [id, compiled.get(id)?.makeStep(() => emptySubgraph)] as const);
  return new Map(steps.flatMap(([id, step]) => (step === undefined ? [] : [[id, step]])));
}

const emptySubgraph: Subgraph = { nodes: [], entries: [] };

function responsesOf(root: Subgraph): Graph["responses"] {
  const found = new Map<string, number | undefined>();
  const add = ({ nodes }: Subgraph): void => {
    for (const { id, step } of nodes) {
      if (step.kind === "response") {
        found.set(id, step.statusCode);
      } else if (step.kind === "try_catch") {
        add(step.trySubgraph);
        add(step.catchSubgraph);
      }
    }
  };
  add(root);
  return found;
}

function hiddenParts(plans: readonly SubgraphPlan[]): HiddenParts {
  return new Map(
    plans
      .flatMap(({ nodes }) => nodes)
      .flatMap(({ id, settings }) => {
        const { hideNodeRequest = false, encryptedOutputFields: paths = [] } = settings ?? {};
        const hidden = hideNodeRequest ? "all" : paths;
        return hidden.length > 0 ? [[id, hidden] as const] : [];
      }),
  );
}

/** Links the innermost subgraphs first, so that each node finds its own finished. */
function linkSubgraphs(plans: readonly SubgraphPlan[], parts: NodeParts): Subgraph {
  const subgraphs: Subgraphs = new Map();
  for (const plan of plans.toReversed()) {
    const ofGroup = subgraphs.get(plan.group) ?? new Map();
    subgraphs.set(plan.group, ofGroup.set(plan.port, linkSubgraph(plan, subgraphs, parts)));
  }
  return subgraphs.get(undefined)?.get(undefined) ?? emptySubgraph;
}

/** The subgraphs of each node by the port that leads there. */
type Subgraphs = Map<Node | undefined, Map<InnerPort | undefined, Subgraph>>;

type NodeParts = {
  readonly compiled: ReadonlyMap<string, CompiledNode | undefined>;
  readonly reads: ReadonlyMap<string | undefined, readonly Reference[]>;
};

function linkSubgraph(plan: SubgraphPlan, subgraphs: Subgraphs, { compiled, reads }: NodeParts): Subgraph {
  const indexes = new Map(plan.nodes.map((node, index) => [node, index]));
  const indexOf = (node: Node) => indexes.get(node) ?? -1;
  const leaving = Map.groupBy(plan.links, (link) => link.source);
  const entering = Map.groupBy(plan.links, (link) => link.target);
  const nodes = plan.nodes.flatMap((node): readonly GraphNode[] => {
    const own = compiled.get(node.id);
    if (own === undefined || node.kind.case === undefined) {
      return [];
    }
    const { makeStep, ...settings } = own;
    const ports = Map.groupBy(leaving.get(node) ?? [], (link) => link.port);
    return [
      {
        id: node.id,
        kind: node.kind.case,
        name: node.name,
        inputs: (entering.get(node)?.length ?? 0) + (plan.entries.includes(node) ? 1 : 0),
        ports: new Map([...ports].map(([port, links]) => [port, links.map((link) => indexOf(link.target))])),
        defaultPort: portsOf(node)[0],
        ...settings,
        reads: reads.get(node.id) ?? [],
        step: makeStep((port) => subgraphs.get(node)?.get(port) ?? emptySubgraph),
      },
    ];
  });
  const hasMerge = nodes.some(({ step }) => step.kind === "merge");
  return { nodes, entries: plan.entries.map(indexOf), ...(hasMerge && { inputs: inputsOf(entering) }) };
}

function inputsOf(entering: ReadonlyMap<Node, readonly Link[]>): ReadonlyMap<string, readonly Input[]> {
  const inputs = [...entering].map(([{ id }, links]) => {
    const inOrder = links.toSorted((left, right) => left.index - right.index);
    return [id, inOrder.map(({ source, port }) => ({ source: source.id, port }))] as const;
  });
  return new Map(inputs);
}
