import { meant } from "../../domain/nearest.ts";
import type { Edge, WorkflowDefinition } from "../../gen/flowcall/v1/definition_pb.ts";
import {
  type Execution,
  ExecutionService,
  type NodeRun,
  NodeRun_State as State,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import type { Client } from "../client/client.ts";
import { CliError, usageError } from "../output/cli-error.ts";
import { nodeRunText } from "./execution-text.ts";

/** How many failed iterations of a Group are told. */
const shownMax = 5;

/** The node that ended an execution, which is the one to try again. Throws CliError where none did. */
export function failedNode({ id, nodeRuns }: Execution): string {
  const [failed] = nodeRuns.filter(({ state }) => state === State.ERRORED || state === State.TIMED_OUT);
  if (failed !== undefined) return failed.path;
  throw new CliError(
    `No node of ${id} ended it. With --failed, a node is tried again that failed and was let pass; flowcall rerun ${id} ` +
      "runs all of it again.",
  );
}

/**
 * The node to try again so that what failed runs again, though the workflow went on without it: a node that was skipped
 * on error, or one of a Group's iterations, with which all its failed iterations run again. Throws CliError where there is
 * none, or where there are several of which a retry would take one alone.
 */
export async function anyFailedNode(client: Client, execution: Execution): Promise<string> {
  const failed: NodeRun[] = [];
  for (const run of execution.nodeRuns) if (isFailure(run)) failed.push(run);
  const definition = await definitionOf(client, execution);
  for (const id of groupsOf(definition, execution)) {
    if (failed.some(({ path }) => path === id)) continue;
    failed.push(...(await failedIterations(client, execution.id, { nodeId: id, max: 1 })));
  }
  if (failed.length === 0) throw new CliError(`Nothing of ${execution.id} failed.`);
  const { edges = [] } = definition ?? {};
  // With a node all behind it runs again.
  const first = failed.find(({ path }) => {
    const behind = reachable(edges, topOf(path));
    return failed.every((other) => other.path === path || behind.has(topOf(other.path)));
  });
  if (first === undefined) {
    const lines = failed.map((run) => `\n  ${nodeRunText(run)}`).join("");
    throw usageError(`Several nodes failed; name the one to try again: flowcall retry ${execution.id} NODE${lines}`);
  }
  return first.path;
}

/** The node outside of Groups that a path begins with. */
function topOf(path: string): string {
  return /^[^[/]*/.exec(path)?.[0] ?? path;
}

function reachable(edges: readonly Pick<Edge, "source" | "target">[], from: string): ReadonlySet<string> {
  const found = new Set<string>();
  const ahead = [from];
  for (let id = ahead.pop(); id !== undefined; id = ahead.pop()) {
    for (const { source, target } of edges) {
      if (source !== id || found.has(target)) continue;
      found.add(target);
      ahead.push(target);
    }
  }
  return found;
}

/** The path that a word means: a path itself, or the name of a node. Throws CliError with what there is. */
export async function pathOf(client: Client, execution: Execution, word: string): Promise<string> {
  const { nodeRuns, id } = execution;
  if (/[[/]/.test(word) || nodeRuns.some(({ path }) => path === word)) return word;
  const named = nodeRuns.filter(({ name }) => name === word);
  const [only, more] = named;
  if (only !== undefined && more === undefined) return only.path;
  if (more !== undefined) {
    throw usageError(
      `Several nodes are called ${word}: name one by its id, ${named.map(({ path }) => path).join(", ")}.`,
    );
  }
  const known = nodeRuns.flatMap(({ path, name }) => [path, ...(name === undefined ? [] : [name])]);
  const there = nodeRuns.map(({ path, name }) => (name === undefined ? path : `${path} (${name})`)).join(", ");
  const definition = await definitionOf(client, execution);
  const inner = definition?.nodes.find((node) => node.name === word || node.id === word);
  if (inner?.groupId !== undefined) {
    const path = `${inner.groupId}[0]/${inner.id}`;
    throw usageError(`${word} is inside of the Group ${inner.groupId}: name its run by a path, as ${path}.`);
  }
  throw usageError(`The execution ${id} ran no node ${JSON.stringify(word)}.${meant(word, known)} It ran ${there}.`);
}

/** The failed iterations of each Group, a few of each, by the paths of the nodes that failed in them. */
export async function groupFailures(
  client: Client,
  execution: Execution,
): Promise<ReadonlyMap<string, readonly NodeRun[]>> {
  const found = new Map<string, readonly NodeRun[]>();
  for (const nodeId of groupsOf(await definitionOf(client, execution), execution)) {
    found.set(nodeId, await failedIterations(client, execution.id, { nodeId, max: shownMax }));
  }
  return found;
}

async function definitionOf(client: Client, { workflowId, workflowVersion }: Execution) {
  if (workflowVersion === 0) return undefined;
  const request = { workflow: workflowId, version: workflowVersion };
  // One that is deleted has no version to look at.
  const version = await client.unary(WorkflowService.method.getVersion, request).catch(() => undefined);
  return version?.definition;
}

function groupsOf(definition: WorkflowDefinition | undefined, execution: Execution): readonly string[] {
  const ran = new Set(execution.nodeRuns.map(({ path }) => path));
  const { nodes = [] } = definition ?? {};
  return nodes.flatMap(({ id, kind }) => (kind.case === "group" && ran.has(id) ? [id] : []));
}

async function failedIterations(
  client: Client,
  executionId: string,
  { nodeId, max }: { readonly nodeId: string; readonly max: number },
): Promise<readonly NodeRun[]> {
  const method = ExecutionService.method.listIterations;
  const found: NodeRun[] = [];
  for (
    let pageToken: string | undefined, isLast = false;
    !isLast && found.length < max;
    isLast = pageToken === undefined
  ) {
    const request = { executionId, nodeId, pageSize: 200, ...(pageToken !== undefined && { pageToken }) };
    const page = await client.unary(method, request);
    for (const run of page.iterations) {
      const inner = run.error?.nodeId;
      if (isFailure(run) && inner !== undefined) found.push({ ...run, path: `${run.path}/${inner}` });
    }
    pageToken = page.nextPageToken;
  }
  return found.slice(0, max);
}

function isFailure({ state }: NodeRun): boolean {
  return state === State.ERRORED || state === State.TIMED_OUT || state === State.ERRORED_AND_SKIPPED;
}
