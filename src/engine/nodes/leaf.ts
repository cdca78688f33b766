import type { JsonValue } from "@bufbuild/protobuf";
import type { ExecutionType } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import type { HttpAnswer, HttpRequest } from "../http/http-request.ts";
import type { Waited } from "../journal/journal.ts";
import type { ProcessPool } from "../pool/process-pool.ts";
import type { QueryCompiler } from "../query/compile-query.ts";
import type { QueryVisit } from "../query/functions/functions.ts";
import type { Field } from "../templates/field.ts";
import type { Reference, TextScope } from "../templates/reference.ts";
import { compileDelay } from "./delay-node.ts";
import { compileHttp } from "./http-node.ts";
import { compileTransform } from "./transform-node.ts";

/** The kinds of node that do one thing and know nothing of the graph around them. */
type LeafKind = "transform" | "delay" | "http";

/** A compiled leaf. It keeps nothing of a run. */
export type Leaf = {
  /** Computes the node's output, which is checked behind it. Fails with NodeFailure; ends soon when the signal aborts. */
  run(attempt: Attempt): Promise<unknown>;
  /** What is known of the output, as a JSON Schema. */
  readonly output?: JsonValue;
};

/** One attempt of a leaf: all that it may know of the run. */
export type Attempt = QueryVisit & {
  readonly type: ExecutionType;
  readonly scope: QueryScope;
  readonly limits: Limits;
  readonly signal: AbortSignal;
  /**
   * Opens the node's time-out. It begins when the leaf says so: neither a wait for a free child process nor one for a
   * database that is away must use it up.
   */
  openTimeout(): NodeTimeout;
  /** Whose turn it is where leaves share something: `[organizationId, environmentId]`. */
  readonly turn: readonly [string, string];
  readonly pool: Pick<ProcessPool, "run">;
  /** Waits durably: a replay goes on with the time that is left. */
  wait(delayMs: number): Promise<Waited>;
  /** Whether no other attempt follows, however this one ends. */
  readonly isLast: boolean;
  now(): number;
  /** Adds to the node's record what a person should know, unless the node is hidden. */
  note(text: string): void;
  readonly send: SendRequest;
};

/** A scope for queries. */
export type QueryScope = TextScope & {
  /** As `read`, but the output of a node that was skipped is undefined, as of one that has not run. */
  readForQuery(reference: Reference): JsonValue | undefined;
};

/** The time that one attempt may take from its start on. */
export type NodeTimeout = {
  /** Aborts with NODE_TIMED_OUT when the time has passed, and when the attempt's signal does. */
  readonly signal: AbortSignal;
  start(): void;
  /** Settles when nothing of it is under way any more. */
  close(): Promise<void>;
};

/** Sends a request once all that is recorded of the run is committed. */
export type SendRequest = (request: LeafRequest) => Promise<HttpAnswer>;

/** What a leaf says of a request; the rest is the run's. */
export type LeafRequest = Omit<HttpRequest, "environmentId" | "timeoutMs" | "signal">;

/** What a leaf is compiled with. `field` is the node's member of that kind, as `transform`. */
export type LeafTools = { readonly field: Field; readonly limits: Limits; readonly queries: QueryCompiler };

/** The message of each leaf's kind. */
type LeafMessages = {
  [Kind in LeafKind]: Extract<Node["kind"], { case: Kind }>["value"];
};

/** How each leaf is compiled. */
export const leaves: { readonly [Kind in LeafKind]: (message: LeafMessages[Kind], tools: LeafTools) => Leaf } = {
  transform: compileTransform,
  delay: compileDelay,
  http: compileHttp,
};
