export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** What a workflow takes and answers. `flowcall codegen` writes one for each workflow, from its schemas. */
export type WorkflowTypes = {
  readonly payload: object;
  readonly value: unknown;
};

/** The workflows of an installation, by alias. */
export type Workflows = { readonly [alias: string]: WorkflowTypes };

/** Workflows of which nothing is known: any payload, and any JSON as the value. */
export type AnyWorkflows = { readonly [alias: string]: { readonly payload: object; readonly value: Json } };

/** Why an execution did not complete. */
export type ExecutionError = {
  /** A stable word for programs, such as `NODE_TIMEOUT`. */
  readonly reason: string;
  /** A sentence for people. */
  readonly message: string;
  readonly node_id?: string;
  readonly node_name?: string;
  /** The status and the body of the HTTP answer that failed the node, where there was one. */
  readonly status?: number;
  readonly body?: Json;
};

/** What is known of an execution. It may go on (`RUNNING`) where the time to wait was spent. */
export type Result<Value = Json> =
  | { readonly status: "COMPLETED"; readonly id: string; readonly value: Value }
  | { readonly status: "RUNNING"; readonly id: string }
  | { readonly status: "ERRORED"; readonly id: string; readonly error: ExecutionError };

/** One run of a node, as events tell it. */
export type NodeRun = {
  readonly node_id: string;
  /** The node's place, inside of Groups too, as `4[12]/7`. */
  readonly path: string;
  readonly name: string;
  readonly state: string;
  readonly error?: ExecutionError;
  readonly [field: string]: Json | ExecutionError | undefined;
};

/** What happens in an execution, in order: first `accepted`, last `ended`. */
export type ExecutionEvent = { readonly id: string } & (
  | { readonly type: "accepted"; readonly accepted: { readonly [field: string]: Json } }
  | { readonly type: "node_started"; readonly node_started: NodeRun }
  | { readonly type: "node_finished"; readonly node_finished: NodeRun }
  | { readonly type: "iteration_finished"; readonly iteration_finished: NodeRun }
  | { readonly type: "ended"; readonly ended: { readonly status: string; readonly error?: ExecutionError } }
);
