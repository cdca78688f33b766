// The questions to a child process and its answers, as plain JSON. Each kind of task has its code in `child/`,
// which alone loads it: the service's side of the pool knows these shapes and nothing of queries, rules or schemas.

import type { JsonValue } from "@bufbuild/protobuf";
import type { ConsoleLine } from "../../domain/execution.ts";
import type { FieldViolation } from "../../domain/request-error.ts";
import type { OperatorName } from "../comparison/operators.ts";
import type { DataPointer } from "./data-texts.ts";

/** The request and the reply of each kind of task. The JSON texts that they refer to travel beside them. */
export type Tasks = {
  query: { readonly request: QueryRequest; readonly reply: QueryReply };
  code: { readonly request: CodeRequest; readonly reply: CodeReply };
  rule: { readonly request: RuleRequest; readonly reply: RuleReply };
  payload: { readonly request: PayloadRequest; readonly reply: PayloadCheck };
  definition: { readonly request: DefinitionRequest; readonly reply: DefinitionReply };
};

export type TaskKind = keyof Tasks;

/** A request or a reply with its JSON texts, which it names by their index. */
export type Message<Head> = { readonly head: Head; readonly texts: readonly string[] };

export type TaskRequest<Kind extends TaskKind> = Message<Tasks[Kind]["request"]>;
export type TaskReply<Kind extends TaskKind> = Message<Tasks[Kind]["reply"]>;

/** Runs one task in the child process. Throws only for a bug of ours. */
export type RunTask<Kind extends TaskKind> = (request: TaskRequest<Kind>) => TaskReply<Kind> | Promise<TaskReply<Kind>>;

export type QueryRequest = {
  readonly query: string;
  readonly context: { readonly executionId: string; readonly path: string; readonly startTime: number };
  readonly input: DataPointer;
  readonly bindings: readonly {
    readonly name: string;
    readonly form: "value" | "text";
    readonly data: DataPointer;
  }[];
};

/** The only text is the output. An error message of JSONata names variables; the service writes the templates instead. */
export type QueryReply =
  | { readonly kind: "output" }
  | { readonly kind: "query_error"; readonly message: string; readonly offset?: number }
  | { readonly kind: "failure"; readonly reason: string; readonly message: string };

export type CodeRequest = {
  readonly code: string;
  readonly startTime: number;
  /** Four 32-bit integers for the random numbers. */
  readonly seed: readonly number[];
  readonly params: readonly { readonly key: string; readonly data: DataPointer }[];
  readonly timeoutMs: number;
};

/** The only text is the output. `isWorn` says that the child should serve no other script. */
export type CodeReply = { readonly console: readonly ConsoleLine[]; readonly isWorn: boolean } & (
  | { readonly kind: "output" }
  | { readonly kind: "failure"; readonly reason: string; readonly message: string }
);

export type RuleRequest = {
  /** True where the first comparison that holds decides the rule, false where the first that does not hold decides it. */
  readonly isAny: boolean;
  readonly comparisons: readonly {
    readonly operator: OperatorName;
    readonly left: DataPointer;
    readonly right: DataPointer;
  }[];
};

/** `evaluated` counts the comparisons that were evaluated, the deciding one included. */
export type RuleReply =
  | { readonly kind: "decision"; readonly evaluated: number; readonly isDecided: boolean }
  | { readonly kind: "failure"; readonly evaluated: number; readonly reason: string; readonly message: string };

/** The texts are the schema and the payload. */
export type PayloadRequest = { readonly kind: "payload" };

/** The result of a check within a budget of work. `work` is a count of steps, so it is the same each time. */
export type PayloadCheck =
  | { readonly kind: "valid"; readonly work: number }
  | {
      readonly kind: "invalid";
      readonly work: number;
      /** The first few violations of `count`. */
      readonly violations: readonly FieldViolation[];
      readonly count: number;
    }
  /** The budget was used up before there was a verdict. */
  | { readonly kind: "spent"; readonly work: number }
  /** The schemas are applied too deep inside one another, whatever the budget. */
  | { readonly kind: "nested"; readonly work: number };

/** The first text is the definition; the second, if any, is the JSON of the fields that its integration declares. */
export type DefinitionRequest = { readonly derivesSchema: boolean };

/** Problems as the JSON of `WorkflowProblem`. The only text is the derived schema, if one was asked for and there is a sample. */
export type DefinitionReply = { readonly errors: readonly JsonValue[]; readonly warnings: readonly JsonValue[] };
