// The compiler: turns a definition into a read-only graph, or reports all problems that it has.
//
// - It never throws because of what a definition holds, and needs no other check before it.
// - Publishing compiles with all checks and warnings. Loading a published version skips the warnings, and leaves the parsing
//   of queries to their first run: a version that was published once stays runnable, whatever later rules say.
// - Nothing in this folder imports `run/`, and nothing there imports this folder.

import { toBinary } from "@bufbuild/protobuf";
import { parseFields, violationsOfFields } from "../../domain/json/fields.ts";
import type { Limits } from "../../domain/limits.ts";
import { type Node, type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import type { FieldDeclaration } from "../../gen/flowcall/v1/field_pb.ts";
import type { WorkflowProblem } from "../../gen/flowcall/v1/workflow_pb.ts";
import { Problems } from "../errors/problems.ts";
import type { Graph } from "../graph/graph.ts";
import { QueryCompiler } from "../query/compile-query.ts";
import { checkPayloadSchema, payloadSchemaOf } from "../schema/payload-schema.ts";
import { KnownNames } from "../templates/known-names.ts";
import { Names } from "../templates/names.ts";
import { checkStructure, type Structure, unreachableNodes } from "./check-structure.ts";
import { type CompiledNode, compileNode, type NodeTools } from "./compile-node.ts";
import { checkTryCatches } from "./compile-try-catch.ts";
import { Dominators } from "./dominators.ts";
import { linkGraph, samplePayloadOf, stepsOf } from "./link-graph.ts";
import { planSubgraphs, type SubgraphPlan } from "./plan-subgraphs.ts";
import { compileStartOutput } from "./start-output.ts";
import { warnOfGraph } from "./warn-of-graph.ts";

/** Facts about a workflow that its definition does not hold. */
export type WorkflowContext = {
  /** The fields that its integration declares. Where they are not known, templates that read them are not checked. */
  readonly applicationFields?: readonly FieldDeclaration[];
};

/** @param applicationFields the JSON of the fields that the integration declares */
export function workflowContextOf(applicationFields: string | undefined): WorkflowContext {
  return applicationFields === undefined ? {} : { applicationFields: parseFields(applicationFields) };
}

type CompiledGraph = {
  /** Present exactly when there are no errors. */
  readonly graph?: Graph;
  /** The reasons why the definition cannot run, in the order of its nodes. */
  readonly errors: readonly WorkflowProblem[];
  /** Likely mistakes in a definition that can run. */
  readonly warnings: readonly WorkflowProblem[];
};

/** Compiles a definition with all checks, for its author. */
export function compileGraph(
  definition: WorkflowDefinition,
  limits: Limits,
  context: WorkflowContext = {},
): CompiledGraph {
  const steps = compileInSteps(definition, limits, context);
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) {
      return step.value;
    }
  }
}

/**
 * Compiles a published definition, to run it. Queries are parsed when they first run, and there are no warnings.
 *
 * @param yieldIfOver called after each node; a promise that it gives is awaited, so that other work gets the thread
 */
export async function loadGraph(
  definition: WorkflowDefinition,
  limits: Limits,
  yieldIfOver: () => Promise<void> | undefined,
): Promise<CompiledGraph> {
  const steps = compileInSteps(definition, limits, undefined);
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) {
      return step.value;
    }
    await yieldIfOver();
  }
}

/**
 * Yields after each node, so that its caller can let other work run in between.
 *
 * @param context absent for a definition that was published before
 */
function* compileInSteps(
  definition: WorkflowDefinition,
  limits: Limits,
  context: WorkflowContext | undefined,
): Generator<void, CompiledGraph, void> {
  const isNew = context !== undefined;
  const problems = new Problems(
    definition.nodes.map((node) => node.id),
    { max: limits.definition.problemsMax, unreachable: unreachableNodes(definition) },
  );
  if (isNew && !isWithinBytesMax(definition, limits, problems)) {
    return { errors: problems.errors, warnings: [] };
  }
  const structure = checkStructure(definition, limits, problems);
  const nodes = definition.nodes.slice(0, limits.graphNodesMax);
  const start = nodes.find((node) => node.kind.case === "start");
  const known = () => new KnownNames(samplePayloadOf(start), payloadSchemaOf(start), definition.fields);
  const names = new Names(nodes, problems, { limits, ...(isNew && { known: once(known) }) });
  const queries = new QueryCompiler(limits, isNew ? "on compile" : "on first run");
  const compiled = yield* compileNodes(nodes, { names, limits, queries });
  const output = compileStartOutput(start, names);
  for (const { field, description } of violationsOfFields(definition.fields, "fields")) {
    problems.error({ field }, "FIELD_DECLARATION_INVALID", `${field} ${description}.`);
  }
  const errorsBefore = problems.errorCount;
  if (isNew) {
    checkPayloadSchema(start, names);
  }
  const hasSchemaErrors = problems.errorCount > errorsBefore;
  if (structure === undefined) {
    return { errors: problems.errors, warnings: problems.warnings };
  }
  const plans = planSubgraphs(structure);
  checkTryCatches(plans, problems);
  if (isNew) {
    warn({ definition, structure, plans, compiled, names, context, hasSchemaErrors, start });
  }
  if (problems.errorCount > 0) {
    return { errors: problems.errors, warnings: problems.warnings };
  }
  const graph = linkGraph({ definition, nodes, start, plans, compiled, names, output });
  return { graph, errors: [], warnings: problems.warnings };
}

function isWithinBytesMax(definition: WorkflowDefinition, limits: Limits, problems: Problems): boolean {
  const { byteLength } = toBinary(WorkflowDefinitionSchema, definition);
  if (byteLength <= limits.definition.bytesMax) {
    return true;
  }
  const message = `The definition has ${byteLength} bytes of at most ${limits.definition.bytesMax} (limit definition.bytesMax). Split it.`;
  problems.error({ field: "" }, "DEFINITION_TOO_LARGE", message);
  return false;
}

type CompiledNodes = ReadonlyMap<string, CompiledNode | undefined>;

function* compileNodes(nodes: readonly Node[], tools: NodeTools): Generator<void, CompiledNodes, void> {
  const compiled = new Map<string, CompiledNode | undefined>();
  for (const node of nodes) {
    compiled.set(node.id, compileNode(node, tools));
    yield;
  }
  return compiled;
}

type Compilation = {
  readonly definition: WorkflowDefinition;
  readonly structure: Structure;
  readonly plans: readonly SubgraphPlan[];
  readonly compiled: CompiledNodes;
  readonly names: Names;
  readonly context: WorkflowContext;
  readonly hasSchemaErrors: boolean;
  readonly start: Node | undefined;
};

function warn({ definition, structure, plans, compiled, names, context, hasSchemaErrors, start }: Compilation): void {
  const { problems } = names;
  const dominators = new Dominators(plans, definition);
  const known = {
    sample: samplePayloadOf(start),
    schema: hasSchemaErrors ? undefined : payloadSchemaOf(start),
    workflowFields: definition.fields,
    applicationFields: context.applicationFields,
    steps: stepsOf(plans, compiled),
  };
  warnOfGraph(structure, plans, { dominators, names, problems, known });
}

/** Makes the names on first use: most definitions never need them. */
function once(make: () => KnownNames): () => KnownNames {
  let made: KnownNames | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
