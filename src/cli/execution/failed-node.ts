import { didYouMean } from "../../domain/nearest.ts";
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

/** The most failed iterations that are shown of one Group. */
const shownMax = 5;

/** The node whose failure ended the execution. Throws CliError where there is none. */
export function failedNode({ id, nodeRuns }: Execution): string {
  const failed = nodeRuns.find(
    ({ state, port }) => (state === State.ERRORED || state === State.TIMED_OUT) && port !== "error",
  );
  if (failed !== undefined) {
    return failed.path;
  }
  throw new CliError(
    `No failed node ended ${id}. Use --failed to run a failed node again whose error was skipped, or flowcall rerun ${id} ` +
      "to run everything again.",
  );
}

/**
 * The node to retry so that every failure runs again, also failures that the workflow skipped: a node that was skipped on
 * error, or a Group's iteration, with which all failed iterations of that Group run again. Throws CliError where nothing
 * failed, or where one retry cannot reach all failed nodes.
 */
export async function anyFailedNode(client: Client, execution: Execution): Promise<string> {
  const failed: NodeRun[] = [];
  for (const run of execution.nodeRuns) {
    if (isFailure(run)) {
      failed.push(run);
    }
  }
  const definition = await definitionOf(client, execution);
  for (const id of groupsOf(definition, execution)) {
    if (failed.some(({ path }) => path === id)) {
      continue;
    }
    failed.push(...(await failedIterations(client, execution.id, { nodeId: id, max: 1 })));
  }
  if (failed.length === 0) {
    throw new CliError(`Nothing of ${execution.id} failed.`);
  }
  const { edges = [] } = definition ?? {};
  // A retry runs the node and all nodes after it.
  const first = failed.find(({ path }) => {
    const after = reachable(edges, topOf(path));
    return failed.every((other) => other.path === path || after.has(topOf(other.path)));
  });
  if (first === undefined) {
    const lines = failed.map((run) => `\n  ${nodeRunText(run)}`).join("");
    throw usageError(`Several nodes failed; name the one to try again: flowcall retry ${execution.id} NODE${lines}`);
  }
  return first.path;
}

/** The outermost node of a path. */
function topOf(path: string): string {
  return /^[^[/]*/.exec(path)?.[0] ?? path;
}

function reachable(edges: readonly Pick<Edge, "source" | "target">[], from: string): ReadonlySet<string> {
  const found = new Set<string>();
  const ahead = [from];
  for (let id = ahead.pop(); id !== undefined; id = ahead.pop()) {
    for (const { source, target } of edges) {
      if (source !== id || found.has(target)) {
        continue;
      }
      found.add(target);
      ahead.push(target);
    }
  }
  return found;
}

/** Finds a node run by its path or its node's name. Throws a usage error that lists the nodes that ran. */
export async function pathOf(client: Client, execution: Execution, word: string): Promise<string> {
  const { nodeRuns, id } = execution;
  if (/[[/]/.test(word) || nodeRuns.some(({ path }) => path === word)) {
    return word;
  }
  const named = nodeRuns.filter(({ name }) => name === word);
  const [only, more] = named;
  if (only !== undefined && more === undefined) {
    return only.path;
  }
  if (more !== undefined) {
    throw usageError(
      `Several nodes are called ${word}. Name one by its id: ${named.map(({ path }) => path).join(", ")}.`,
    );
  }
  const known = nodeRuns.flatMap(({ path, name }) => [path, ...(name === undefined ? [] : [name])]);
  const there = nodeRuns.map(({ path, name }) => (name === undefined ? path : `${path} (${name})`)).join(", ");
  const definition = await definitionOf(client, execution);
  const inner = definition?.nodes.find((node) => node.name === word || node.id === word);
  if (inner?.groupId !== undefined) {
    const path = `${inner.groupId}[0]/${inner.id}`;
    throw usageError(`${word} is inside the Group ${inner.groupId}. Name its run by a path, as ${path}.`);
  }
  throw usageError(
    `The execution ${id} ran no node ${JSON.stringify(word)}.${didYouMean(word, known)} It ran ${there}.`,
  );
}

/** The first failed iterations of each Group, with the paths of the nodes that failed in them. */
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
  if (workflowVersion === 0) {
    return undefined;
  }
  const request = { workflow: workflowId, version: workflowVersion };
  // A deleted workflow has no versions any more.
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
      if (isFailure(run) && inner !== undefined) {
        found.push({ ...run, path: `${run.path}/${inner}` });
      }
    }
    pageToken = page.nextPageToken;
  }
  return found.slice(0, max);
}

function isFailure({ state }: NodeRun): boolean {
  return state === State.ERRORED || state === State.TIMED_OUT || state === State.ERRORED_AND_SKIPPED;
}
