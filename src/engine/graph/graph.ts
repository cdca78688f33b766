// The compiled form of a definition, made by `compile/` and run by `run/`, which know nothing of each other.
//
// A graph is read-only and shared by all runs of its version. Every reference in it resolves to something that exists.

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError } from "../../domain/execution.ts";
import type { FieldDeclaration } from "../../gen/flowcall/v1/field_pb.ts";
import type { Leaf } from "../nodes/leaf.ts";
import type { Condition } from "../rules/compile-rule.ts";
import type { PayloadValidator } from "../schema/payload-validator.ts";
import type { Reference, Template } from "../templates/reference.ts";

export type Graph = {
  readonly root: Subgraph;
  /** The first Group of the definition, reachable or not. Synchronous calls of a workflow with a Group are refused. */
  readonly group?: { readonly id: string; readonly name: string };
  /** The HTTP status of each Response node by its id, in the order in which the nodes may run. */
  readonly responses: ReadonlyMap<string, number | undefined>;
  readonly hasApiCallTrigger: boolean;
  /** Whether a node hides its output. */
  readonly hidesNodes: boolean;
  /** Whether a node begins other executions. */
  readonly beginsExecutions: boolean;
  readonly hidden: HiddenParts;
  /** Whether the branches beside a failed node run to their end. */
  readonly finishesBranches: boolean;
  readonly recordsInputs: RecordsInputs;
  /** Whether a template reads a field of the workflow or of the application. */
  readonly readsFields: boolean;
  /** The fields that the workflow declares. */
  readonly fields: readonly FieldDeclaration[];
  /** The sample of the "API Call" panel. */
  readonly samplePayload: JsonObject;
  /** Checks payloads against the workflow's JSON Schema, if it has one. */
  readonly payloadValidator?: PayloadValidator;
  /** The response of a run in which no Response node has run. */
  readonly output?: Template<JsonValue>;
};

/** Of which nodes the values of templates are recorded. */
export type RecordsInputs = "ON_FAILURE" | "ALWAYS" | "NEVER";

/** The hidden parts of each node's output, by node id: all of it, or the parts at these paths. */
export type HiddenParts = ReadonlyMap<string, "all" | readonly string[]>;

/** The reachable nodes outside of Groups, those inside one Group, or those behind a port of a Try & Catch. */
export type Subgraph = {
  /** In topological order. */
  readonly nodes: readonly GraphNode[];
  /** Indexes in `nodes` of the nodes at which the subgraph starts. */
  readonly entries: readonly number[];
  /** The edges that lead to each node, by its id, in the definition's order. Present where a Merge needs them. */
  readonly inputs?: ReadonlyMap<string, readonly Input[]>;
};

/** An edge that leads to a node: the id of the node that it leaves, and the port. */
export type Input = { readonly source: string; readonly port: Port };

/**
 * A way by which a branch leaves a node: `next`, a Rule's `true` and `false`, the port of a Switch, or `error`. A Group's port
 * `each` is not among them, nor are the ports `try` and `catch`: they lead to the entries of subgraphs.
 */
export type Port = string;

/** The ports that lead into a node. */
export const innerPorts = ["each", "try", "catch"] as const;

export type InnerPort = (typeof innerPorts)[number];

/** How a branch leaves a node: by a port, or `nowhere` if the node failed. Then no later node waits for the branch. */
export type Exit = Port | typeof nowhere;

/** No port has this name. */
export const nowhere = "";

/** How a branch goes on when its node fails: not at all, as if the node had been skipped, or at the port `error`. */
export type OnError = "FAIL" | "SKIP" | "PORT";

export type GraphNode = {
  readonly id: string;
  /** As the definition names it, such as `http`. */
  readonly kind: string;
  readonly name: string;
  /** The number of edges that lead to the node. The entry of the subgraph counts as an edge. */
  readonly inputs: number;
  /** For each port, the indexes in the subgraph's `nodes` of the nodes that it leads to. */
  readonly ports: ReadonlyMap<Port, readonly number[]>;
  /** The port by which a branch continues when the node did not run: `false` for a Rule, `default` for a Switch, else `next`. */
  readonly defaultPort: Port;
  readonly onError: OnError;
  /** Hides this node's error message from the execution's error. */
  readonly isHidden: boolean;
  /** The paths in its output, and in the answer that fails it, that are hidden. */
  readonly encryptedFields: readonly string[];
  readonly conditions?: Condition;
  /** What its templates read when it runs. */
  readonly reads: readonly Reference[];
  readonly step: Step;
};

/** The work of a node. The interpreter runs all kinds but leaves, which run themselves. */
export type Step =
  | { readonly kind: "start" }
  | { readonly kind: "rule"; readonly holds: Condition }
  | SwitchStep
  /** `requiresAll` says whether a branch that does not arrive because it failed fails the node. */
  | { readonly kind: "merge"; readonly requiresAll: boolean }
  | ResponseStep
  | { readonly kind: "terminate"; readonly isError: boolean; readonly message?: Template<string> }
  | GroupStep
  | TryCatchStep
  | LeafStep;

export type SwitchStep = {
  readonly kind: "switch";
  readonly value: Template<JsonValue>;
  readonly cases: readonly SwitchCase[];
};

/** A case matches by its value, or by its condition. */
export type SwitchCase = { readonly port: Port } & (
  | { readonly value: Template<string>; readonly when?: never }
  | { readonly when: Condition; readonly value?: never }
);

export type ResponseStep = {
  readonly kind: "response";
  readonly response: Template<JsonValue>;
  readonly statusCode?: number;
};

export type GroupStep = {
  readonly kind: "group";
  readonly subgraph: Subgraph;
  readonly mode: GroupMode;
  /** 1 where each iteration decides whether another one follows. */
  readonly concurrency: number;
  readonly output?: Template<JsonValue>;
  readonly breakWhen?: Condition;
  readonly allowsPartialSuccess: boolean;
};

export type TryCatchStep = {
  readonly kind: "try_catch";
  readonly trySubgraph: Subgraph;
  readonly catchSubgraph: Subgraph;
  readonly catches: (failure: ExecutionError) => boolean;
  readonly output?: Template<JsonValue>;
  readonly catchOutput?: Template<JsonValue>;
  /** How often the nodes behind `try` run. */
  readonly retry: Retry;
  /** The time-out of one run of the nodes behind `try`. */
  readonly timeoutMs?: number;
};

/** How often a Group runs: once for each item, a number of times, or while a condition holds. */
export type GroupMode =
  | { readonly kind: "array"; readonly array: Reference }
  | { readonly kind: "count"; readonly count: Template<JsonValue> }
  | { readonly kind: "do_while"; readonly condition: Condition };

export type LeafStep = {
  readonly kind: "leaf";
  readonly leaf: Leaf;
  /** The time-out of one attempt. */
  readonly timeoutMs: number;
  readonly retry: Retry;
  /** Whether a request may be sent once at most. Then there is one attempt. */
  readonly isAtMostOnce: boolean;
};

/** Retry with backoff. */
export type Retry = {
  /** The first attempt included. */
  readonly attemptsMax: number;
  /** The delay before the second attempt. */
  readonly delayMs: number;
  /** The factor from each delay to the next: 1 for a fixed delay, 2 for exponential backoff. */
  readonly factor: number;
  readonly hasJitter: boolean;
};
