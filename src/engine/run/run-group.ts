import type { JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../../domain/json-text.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { iterationCount } from "../graph/iteration-count.ts";
import { type Items, Iterations } from "./iterations.ts";
import { type GroupRun, recallIteration, replayStoppedIteration } from "./run-iteration.ts";

/**
 * Runs a Group's level once for each iteration, and gives the array of outputs in the order of the iterations.
 *
 * Each iteration leaves a record of its own, behind those of its nodes; a recorded one is not run again. Unless the
 * Group allows partial success, no other iteration starts after a failed one; those under way come to their end, so
 * that each has a definite record, and then the Group fails.
 */
export async function runGroup(group: GroupRun): Promise<JsonText> {
  const { step, visit } = group;
  const iterations = new Iterations(group, itemsOf(group));
  await Promise.all(Array.from({ length: step.concurrency }, () => iterations.run()));
  visit.level.boundary.signal.throwIfAborted();
  return iterations.output();
}

/**
 * Replays a Group that was stopped. What stopped it may be a Terminate inside, so the iterations that were under way
 * are gone through. Iterations begin in order and each has its record, so the first without one is behind the last.
 */
export async function replayStoppedGroup(group: GroupRun): Promise<void> {
  for (let index = 0; ; index += 1) {
    const recalled = recallIteration(group, index);
    if (recalled === undefined) {
      return;
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
      return { count: items.length, bodyOf: (index) => ({ array_item: items[index] ?? null, iteration_count: index }) };
    }
    case "count": {
      const value = mode.count.render(visit.scope);
      const count = iterationCount(value);
      if (count === undefined) {
        const found = typeof value === "number" ? value : typeOf(value);
        const message = `The Group's count must be a whole number from 0, but its template gave ${found}.`;
        throw new NodeFailure("GROUP_COUNT_INVALID", message);
      }
      return { count, bodyOf: (index) => ({ iteration_count: index }) };
    }
    case "do_while":
      return { bodyOf: (index) => ({ iteration_count: index }) };
    default:
      return unreachable(mode);
  }
}

/**
 * The items to go through. JSONata gives a result of one as that one, and a result of none as nothing, which a node's output
 * holds as null: so a workflow that works with two matches works with one and none too.
 */
function listOf(value: JsonValue | undefined, { scope }: GroupRun["visit"]): readonly JsonValue[] {
  if (Array.isArray(value)) return value;
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
