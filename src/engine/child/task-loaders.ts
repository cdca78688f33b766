import { flushCompileCache } from "node:module";
import type { Limits } from "../../domain/limits.ts";
import type { RunTask, TaskKind } from "../pool/tasks.ts";

/** The code of each kind of task is loaded when it is first needed: most children run queries alone, and stay small. */
export const taskLoaders: { readonly [Kind in TaskKind]: (limits: Limits) => Promise<RunTask<Kind>> } = {
  query: async (limits) => (await import("./query-task.ts")).createQueryTask(limits),
  code: async (limits) => (await import("./code-task.ts")).createCodeTask(limits),
  rule: async () => (await import("./rule-task.ts")).createRuleTask(),
  payload: async () => (await import("./payload-task.ts")).createPayloadTask(),
  definition: async (limits) => (await import("./definition-task.ts")).createDefinitionTask(limits),
};

/** Loads the code of a kind of task, and writes Node's compile cache: a child is killed at its end, and would leave none. */
export async function loadTask(kind: TaskKind, limits: Limits): Promise<RunTask<TaskKind>> {
  // Each loader gives the function of its own kind.
  const run = (await taskLoaders[kind](limits)) as RunTask<TaskKind>;
  flushCompileCache();
  return run;
}
