import type { JsonValue } from "@bufbuild/protobuf";
import type { ExecutionType } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { HttpAnswer, HttpRequest } from "../http/http-request.ts";
import type { Waited } from "../journal/journal.ts";
import type { QueryCompiler } from "../query/compile-query.ts";
import type { QueryAttempt } from "../query/query-run.ts";
import type { Field } from "../templates/field.ts";

/** A compiled leaf. It keeps nothing of a run. */
export type Leaf = {
  /** Computes the node's output, which is checked behind it. Fails with NodeFailure; ends soon when the signal aborts. */
  run(attempt: Attempt): Promise<unknown>;
  /** What is known of the output, as a JSON Schema. */
  readonly output?: JsonValue;
};

/** One attempt of a leaf: all that it may know of the run. */
export type Attempt = QueryAttempt & {
  readonly type: ExecutionType;
  readonly limits: Limits;
  readonly signal: AbortSignal;
  /** Waits durably: a replay goes on with the time that is left. */
  wait(delayMs: number): Promise<Waited>;
  /** Whether no other attempt follows, however this one ends. */
  readonly isLast: boolean;
  now(): number;
  /** Adds to the node's record what a person should know, unless the node is hidden. */
  note(text: string): void;
  readonly send: SendRequest;
};

/** Sends a request once all that is recorded of the run is committed. */
export type SendRequest = (request: LeafRequest) => Promise<HttpAnswer>;

/** What a leaf says of a request; the rest is the run's. */
export type LeafRequest = Omit<HttpRequest, "environmentId" | "timeoutMs" | "signal">;

/** What a leaf is compiled with. `field` is the node's member of that kind, as `transform`. */
export type LeafTools = { readonly field: Field; readonly limits: Limits; readonly queries: QueryCompiler };
