// The engine: what runs next.
//
// compileGraph turns a definition into a read-only Graph, or tells all that is wrong with it. runGraph runs a Graph for
// one execution. The engine knows no database, and no network but its guarded client: it waits on its journal, takes the
// time from its clock, and gives back an outcome. What a journal recalls is never run again.

import { type JsonObject, toBinary } from "@bufbuild/protobuf";
import { parseFields, violationsOfFields } from "../../domain/json/fields.ts";
import type { Limits } from "../../domain/limits.ts";
import {
  type Node,
  type StartNode,
  type WorkflowDefinition,
  WorkflowDefinition_OnFailure,
  WorkflowDefinitionSchema,
} from "../../gen/flowcall/v1/definition_pb.ts";
import type { FieldDeclaration } from "../../gen/flowcall/v1/field_pb.ts";
import type { WorkflowProblem } from "../../gen/flowcall/v1/workflow_pb.ts";
import { Problems } from "../errors/problems.ts";
import type { Graph, GraphNode, Level, Port } from "../graph/graph.ts";
import { QueryCompiler, type QueryParsing } from "../query/compile-query.ts";
import type { HiddenParts } from "../run/node-inputs.ts";
import { checkPayloadSchema, payloadSchemaOf } from "../schema/payload-schema.ts";
import { PayloadGate } from "../schema/payload-validator.ts";
import { Names } from "../templates/field.ts";
import { KnownNames } from "../templates/known-names.ts";
import { checkStructure, portsOf, type Structure } from "./check-structure.ts";
import { type CompiledNode, compileNode } from "./compile-node.ts";
import { Certainty } from "./dominators.ts";
import { type LevelPlan, planLevels } from "./plan-subgraphs.ts";
import { compileStartOutput } from "./start-output.ts";
import { leftOutOf } from "./unreachable-nodes.ts";
import { warnOfLevels } from "./warn-of-graph.ts";

/** What is known of a workflow besides its definition. */
export type Surroundings = {
  /** What its integration declares; nothing is said of such fields where that is absent. */
  readonly applicationFields?: readonly FieldDeclaration[];
};

/** @param applicationFields what the integration declares, as it is kept */
export function surroundingsOf(applicationFields: string | undefined): Surroundings {
  return applicationFields === undefined ? {} : { applicationFields: parseFields(applicationFields) };
}

type CompiledGraph = {
  /** Present exactly when there are no errors. */
  readonly graph?: Graph;
  /** Why the definition cannot run, in the order of its nodes. */
  readonly errors: readonly WorkflowProblem[];
  /** What its author should know although it can run. */
  readonly warnings: readonly WorkflowProblem[];
};

/** Compiles a definition, whatever it holds. Needs no other check before it, and never throws for what is in it. */
export function compileGraph(definition: WorkflowDefinition, limits: Limits, around: Surroundings = {}): CompiledGraph {
  const steps = compileInSteps(definition, limits, around);
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}

/**
 * Compiles a definition that was checked before, to run it. Queries are parsed when they first run, and nothing is warned of.
 *
 * @param rest asked after each node; what it gives is waited for
 */
export async function loadGraph(
  definition: WorkflowDefinition,
  limits: Limits,
  rest: () => Promise<void> | undefined,
): Promise<CompiledGraph> {
  const steps = compileInSteps(definition, limits, undefined);
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return step.value;
    await rest();
  }
}

/**
 * Comes back after each node, so that whoever drives it can do other work in between.
 *
 * @param around absent where the definition was checked before
 */
function* compileInSteps(
  definition: WorkflowDefinition,
  limits: Limits,
  around: Surroundings | undefined,
): Generator<void, CompiledGraph, void> {
  const parsing: QueryParsing = around === undefined ? "when run" : "at once";
  const problems = new Problems(
    definition.nodes.map((node) => node.id),
    { max: limits.definition.problemsMax, leftOut: leftOutOf(definition) },
  );
  const { byteLength } = parsing === "at once" ? toBinary(WorkflowDefinitionSchema, definition) : { byteLength: 0 };
  if (byteLength > limits.definition.bytesMax) {
    const message = `The definition has ${byteLength} bytes of at most ${limits.definition.bytesMax} (limit definition.bytesMax). Split it.`;
    problems.error({ field: "" }, "DEFINITION_TOO_LARGE", message);
    return { errors: problems.errors, warnings: [] };
  }
  const structure = checkStructure(definition, limits, problems);
  const nodes = definition.nodes.slice(0, limits.graphNodesMax);
  const start = nodes.find((node) => node.kind.case === "start");
  const known = () => new KnownNames(sampleOf(start), payloadSchemaOf(start), definition.fields);
  const names = new Names(nodes, problems, { limits, ...(parsing === "at once" && { known: onceMade(known) }) });
  const queries = new QueryCompiler(limits, parsing);
  const compiled = new Map<string, CompiledNode | undefined>();
  for (const node of nodes) {
    compiled.set(node.id, compileNode(node, { names, limits, queries }));
    yield;
  }
  const output = compileStartOutput(start, names);
  for (const { field, description } of violationsOfFields(definition.fields, "fields")) {
    problems.error({ field }, "FIELD_DECLARATION_INVALID", `${field} ${description}.`);
  }
  const schemaErrors = problems.errorCount;
  if (parsing === "at once") checkPayloadSchema(start, names);
  const hasSchemaErrors = problems.errorCount > schemaErrors;
  if (structure === undefined) {
    return { errors: problems.errors, warnings: problems.warnings };
  }
  const plans = planLevels(structure);
  const finishesBranches = definition.onFailure === WorkflowDefinition_OnFailure.FINISH_BRANCHES;
  if (around !== undefined) {
    const certainty = new Certainty(plans, { finishesBranches });
    const values = {
      sample: sampleOf(start),
      schema: hasSchemaErrors ? undefined : payloadSchemaOf(start),
      workflowFields: definition.fields,
      applicationFields: around.applicationFields,
      steps: stepsOf(plans, compiled),
    };
    warnOfLevels(structure, plans, { certainty, names, problems, known: values });
  }
  if (problems.errorCount > 0) {
    return { errors: problems.errors, warnings: problems.warnings };
  }
  const payloadSchema = payloadSchemaOf(start);
  const trigger = startMessage(structure)?.trigger;
  const root = linkLevels(plans, compiled);
  const group = nodes.find(({ kind }) => kind.case === "group");
  const graph: Graph = {
    root,
    responses: responsesOf(root),
    finishesBranches,
    hidden: hiddenParts(plans),
    hidesNodes: plans.some(({ nodes }) => nodes.some(({ settings }) => settings?.hideNodeRequest === true)),
    hasApiCallTrigger: trigger?.case === "apiCall",
    readsFields: names.readsFields,
    fields: definition.fields,
    samplePayload: trigger?.value?.payload ?? {},
    ...(group && { group: { id: group.id, name: group.name } }),
    ...(output && { output }),
    ...(payloadSchema && { payloadGate: new PayloadGate(payloadSchema) }),
  };
  return { graph, errors: [], warnings: problems.warnings };
}

function sampleOf(start: Node | undefined): JsonObject | undefined {
  return start?.kind.case === "start" ? start.kind.value.trigger.value?.payload : undefined;
}

/** What the nodes that may run do, each without what is inside of it. */
function stepsOf(plans: readonly LevelPlan[], compiled: ReadonlyMap<string, CompiledNode | undefined>) {
  const ids = plans.flatMap(({ nodes }) => nodes.map(({ id }) => id));
  const steps = ids.map((id) => [id, compiled.get(id)?.makeStep(nothing)] as const);
  return new Map(steps.flatMap(([id, step]) => (step === undefined ? [] : [[id, step]])));
}

/** Most definitions never ask for them. */
function onceMade(make: () => KnownNames): () => KnownNames {
  let made: KnownNames | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function responsesOf({ nodes }: Level): Graph["responses"] {
  return new Map(nodes.flatMap(({ id, step }) => (step.kind === "response" ? [[id, step.statusCode] as const] : [])));
}

function hiddenParts(plans: readonly LevelPlan[]): HiddenParts {
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

function startMessage({ start }: Structure): StartNode | undefined {
  return start.kind.case === "start" ? start.kind.value : undefined;
}

/** Builds the levels from the innermost outwards, so that each Group finds its own finished. */
function linkLevels(plans: readonly LevelPlan[], compiled: ReadonlyMap<string, CompiledNode | undefined>): Level {
  const levels = new Map<Node | undefined, Level>();
  for (const plan of plans.toReversed()) {
    levels.set(plan.group, linkLevel(plan, levels, compiled));
  }
  return levels.get(undefined) ?? nothing;
}

const nothing: Level = { nodes: [], entries: [] };

function linkLevel(
  plan: LevelPlan,
  levels: ReadonlyMap<Node | undefined, Level>,
  compiled: ReadonlyMap<string, CompiledNode | undefined>,
): Level {
  const places = new Map(plan.nodes.map((node, index) => [node, index]));
  const placeOf = (node: Node) => places.get(node) ?? -1;
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
        name: node.name,
        inputs: (entering.get(node)?.length ?? 0) + (plan.entries.includes(node) ? 1 : 0),
        ports: Object.fromEntries([...ports].map(([port, links]) => [port, links.map((link) => placeOf(link.target))])),
        defaultPort: portsOf[node.kind.case][0] satisfies Port,
        ...settings,
        step: makeStep(levels.get(node) ?? nothing),
      },
    ];
  });
  return { nodes, entries: plan.entries.map(placeOf) };
}
