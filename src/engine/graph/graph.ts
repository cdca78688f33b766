import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { FieldDeclaration } from "../../gen/flowcall/v1/field_pb.ts";
import type { Leaf } from "../nodes/leaf.ts";
import type { Condition } from "../rules/compile-rule.ts";
import type { HiddenParts } from "../run/node-inputs.ts";
import type { PayloadGate } from "../schema/payload-validator.ts";
import type { Reference, Template } from "../templates/reference.ts";

/** A compiled definition: read-only, without a reference that cannot resolve, shared by all runs of its version. */
export type Graph = {
  readonly root: Level;
  /** The first Group of the definition, whether anything leads to it or not. Where there is one, synchronous calls are refused. */
  readonly group?: { readonly id: string; readonly name: string };
  /** The Response nodes in the order in which they may run, with the HTTP statuses that they set. */
  readonly responses: ReadonlyMap<string, number | undefined>;
  readonly hasApiCallTrigger: boolean;
  /** Whether a node hides what it gives. */
  readonly hidesNodes: boolean;
  readonly hidden: HiddenParts;
  /** Whether the branches beside a failed node come to their end. */
  readonly finishesBranches: boolean;
  /** Whether a template reads a field of the workflow or of the application. */
  readonly readsFields: boolean;
  /** The fields that the workflow declares. */
  readonly fields: readonly FieldDeclaration[];
  /** The sample of the "API Call" panel. */
  readonly samplePayload: JsonObject;
  /** What a payload must be like. */
  readonly payloadGate?: PayloadGate;
  /** What a call answers where no Response node has run. */
  readonly output?: Template<JsonValue>;
};

/** The nodes outside of Groups, or the ones inside one Group. Unreachable nodes are left out. */
export type Level = {
  /** Each node behind all that lead to it. */
  readonly nodes: readonly GraphNode[];
  /** Places in `nodes` where the level begins. */
  readonly entries: readonly number[];
};

/** The ways by which a branch leaves a node. A Group's `each` is the entries of its level. */
export type Port = "next" | "true" | "false";

export type GraphNode = {
  readonly id: string;
  readonly name: string;
  /** How many edges lead here, the level's entry included. */
  readonly inputs: number;
  /** Where each port leads: places in the level's `nodes`. */
  readonly ports: Readonly<Partial<Record<Port, readonly number[]>>>;
  /** The port of a branch that goes on although the node did not run: `false` for a Rule, else `next`. */
  readonly defaultPort: Port;
  readonly skipOnError: boolean;
  /** Whether the message of its failure is told in its own record alone. */
  readonly isHidden: boolean;
  readonly conditions?: Condition;
  readonly step: Step;
};

/** What a node does. Leaves do one thing each; the interpreter knows the other kinds. */
export type Step =
  | { readonly kind: "start" }
  | { readonly kind: "rule"; readonly holds: Condition }
  | { readonly kind: "response"; readonly response: Template<JsonValue>; readonly statusCode?: number }
  | { readonly kind: "terminate"; readonly isError: boolean; readonly message?: Template<string> }
  | GroupStep
  | LeafStep;

export type GroupStep = {
  readonly kind: "group";
  readonly level: Level;
  readonly mode: GroupMode;
  /** 1 where something is decided after each iteration. */
  readonly concurrency: number;
  readonly output?: Template<JsonValue>;
  readonly breakWhen?: Condition;
  readonly allowsPartialSuccess: boolean;
};

/** What there is an iteration for. */
export type GroupMode =
  | { readonly kind: "array"; readonly array: Reference }
  | { readonly kind: "count"; readonly count: Template<JsonValue> }
  | { readonly kind: "do_while"; readonly condition: Condition };

export type LeafStep = {
  readonly kind: "leaf";
  readonly leaf: Leaf;
  /** How long one attempt may take. */
  readonly timeoutMs: number;
  readonly retry: Retry;
  /** Whether what it sends may leave once at the most. Then there is one attempt. */
  readonly isAtMostOnce: boolean;
};

export type Retry = {
  readonly attemptsMax: number;
  /** The delay before the second attempt. */
  readonly delayMs: number;
  /** What each delay is multiplied by to get the next: 1 or 2. */
  readonly factor: number;
  readonly hasJitter: boolean;
};
