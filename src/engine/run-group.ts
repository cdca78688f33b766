import type { JsonText } from "../domain/json-text.ts";
import { NodeFailure } from "./failure.ts";
import { type Items, Iterations } from "./iterations.ts";
import { type GroupRun, recallIteration, replayStoppedIteration } from "./run-iteration.ts";

/**
 * Runs a Group's level once for each item, and gives the array of outputs in the items' order.
 *
 * Each iteration leaves a record of its own, behind those of its nodes; a recorded one is not run again. After a failed
 * iteration no other one starts; those under way come to their end, so that each has a definite record, and then the
 * Group fails.
 */
export async function runGroup(group: GroupRun): Promise<JsonText> {
  const { step, visit } = group;
  const items = itemsOf(group);
  const iterations = new Iterations(group, items);
  await Promise.all(Array.from({ length: Math.min(step.concurrency, items.count) }, () => iterations.run()));
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

function itemsOf({ step, visit }: GroupRun): Items {
  const items = step.array.render(visit.scope);
  if (!Array.isArray(items)) {
    const found = items === null ? "null" : typeof items;
    throw new NodeFailure(
      "GROUP_ARRAY_INVALID",
      `The Group needs an array to go through, but its template gave ${found}.`,
    );
  }
  return { count: items.length, bodyOf: (index) => ({ array_item: items[index] ?? null, iteration_count: index }) };
}
