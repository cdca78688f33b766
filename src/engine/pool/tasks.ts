import type { Limits } from "../../domain/limits.ts";
import type { DefinitionReply, DefinitionRequest } from "../child/definition-task.ts";
import type { PayloadReply, PayloadRequest } from "../child/payload-task.ts";
import type { QueryReply, QueryRequest } from "../child/query-task.ts";
import type { RuleReply, RuleRequest } from "../child/rule-task.ts";

/** What children do: what each kind of task is asked, and what it answers. Values travel as JSON texts beside both. */
export type Tasks = {
  query: { readonly request: QueryRequest; readonly reply: QueryReply };
  rule: { readonly request: RuleRequest; readonly reply: RuleReply };
  payload: { readonly request: PayloadRequest; readonly reply: PayloadReply };
  definition: { readonly request: DefinitionRequest; readonly reply: DefinitionReply };
};

export type TaskKind = keyof Tasks;

/** A message of a task, with the texts that it names by their places. */
export type Message<Head> = { readonly head: Head; readonly texts: readonly string[] };

export type TaskRequest<Kind extends TaskKind> = Message<Tasks[Kind]["request"]>;
export type TaskReply<Kind extends TaskKind> = Message<Tasks[Kind]["reply"]>;

/** Does a task. Throws for a fault of ours alone. */
export type RunTask<Kind extends TaskKind> = (request: TaskRequest<Kind>) => TaskReply<Kind> | Promise<TaskReply<Kind>>;

/** Each kind is loaded when it is first asked for: most children see queries alone, and stay small. */
export const taskLoaders: { readonly [Kind in TaskKind]: (limits: Limits) => Promise<RunTask<Kind>> } = {
  query: async (limits) => (await import("../child/query-task.ts")).createQueryTask(limits),
  rule: async () => (await import("../child/rule-task.ts")).createRuleTask(),
  payload: async () => (await import("../child/payload-task.ts")).createPayloadTask(),
  definition: async (limits) => (await import("../child/definition-task.ts")).createDefinitionTask(limits),
};
