import type { JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../../domain/json/json-text.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { iterationCount } from "../graph/iteration-count.ts";
import { type Items, Iterations } from "./iterations.ts";
import { type GroupRun, recallIteration, replayStoppedIteration } from "./run-iteration.ts";

/**
 * Runs a Group's subgraph once for each iteration, and gives the array of outputs in the order of the iterations.
 *
 * Each iteration leaves a record after those of its nodes, and a replay does not run a recorded one again. Unless the Group
 * allows partial success, no iteration starts after one has failed; those that are running finish, so that each has a
 * definite record, and then the Group fails.
 */
export async function runGroup(group: GroupRun): Promise<JsonText> {
  const { step, visit } = group;
  const iterations = new Iterations(group, itemsOf(group));
  await Promise.all(Array.from({ length: step.concurrency }, () => iterations.run()));
  visit.subgraph.boundary.throwIfStopped();
  return iterations.output();
}

/**
 * Replays a Group that was stopped. A Terminate inside of it may have stopped it, so the iterations that were running are
 * replayed too. Iterations start in order and each has a record, so the first index without one comes after the last.
 */
export async function replayStoppedGroup(group: GroupRun): Promise<undefined> {
  for (let index = 0; ; index += 1) {
    const recalled = recallIteration(group, index);
    if (recalled === undefined) {
      return undefined;
    }
    if (recalled.state === "STOPPED") {
      await replayStoppedIteration(group, index);
    }
  }
}

function itemsOf({ step: { mode }, visit }: GroupRun): Items {
  switch (mode.kind) {
    case "array": {
      const items = listOf(visit.scope.read(mode.array), visit);
      return { count: items.length, itemAt: (index) => ({ array_item: items[index] ?? null, iteration_count: index }) };
    }
    case "count": {
      const value = mode.count.render(visit.scope);
      const count = iterationCount(value);
      if (count === undefined) {
        const found = typeof value === "number" ? value : typeOf(value);
        const message = `The Group's count must be a whole number from 0, but its template gave ${found}.`;
        throw new NodeFailure("GROUP_COUNT_INVALID", message);
      }
      return { count, itemAt: (index) => ({ iteration_count: index }) };
    }
    case "do_while":
      return { itemAt: (index) => ({ iteration_count: index }) };
    default:
      return unreachable(mode);
  }
}

/**
 * The items of a Group's array. JSONata gives the only match of a query without an array around it, and no match as null, so
 * these count as one item and as none: a workflow that works with two matches also works with one and with none.
 */
function listOf(value: JsonValue | undefined, { scope }: GroupRun["visit"]): readonly JsonValue[] {
  if (Array.isArray(value)) {
    return value;
  }
  if (value === null) {
    scope.note("The Group's array is null, which counts as an empty list.");
    return [];
  }
  if (typeof value === "object") {
    scope.note("The Group's array is one object, which counts as a list of one.");
    return [value];
  }
  const found = value === undefined ? "does not resolve" : `gave ${typeOf(value)}`;
  const message =
    `The Group needs an array to go through, but its template ${found}. In the query of a Transform, [ … ] around what may ` +
    "be one value or none makes it an array.";
  throw new NodeFailure("GROUP_ARRAY_INVALID", message);
}

function typeOf(value: JsonValue): string {
  return value === null ? "null" : typeof value;
}
