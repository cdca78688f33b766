import type { JsonValue } from "@bufbuild/protobuf";
import type { ConsoleLine, ExecutionType } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { HttpAnswer, HttpRequest } from "../http/http-request.ts";
import type { ChildRequest, ChildRun } from "../journal/children.ts";
import type { Waited } from "../journal/journal.ts";
import type { QueryCompiler } from "../query/compile-query.ts";
import type { QueryAttempt } from "../query/query-run.ts";
import type { PayloadValidator } from "../schema/payload-validator.ts";
import type { ApiAccess } from "../secrets/api-access.ts";
import type { UsedVariables } from "../secrets/used-variables.ts";
import type { Field } from "../templates/field.ts";

/**
 * A compiled leaf: a node that does one thing and never sees the graph around it. It keeps nothing of a run, so that all runs
 * of a version can share it.
 */
export type Leaf = {
  /**
   * Computes the output, which its caller checks; gives a promise only if that takes long. Fails with NodeFailure, and ends
   * soon after the signal aborts.
   */
  run(attempt: Attempt): unknown;
  /** Whether it only computes: it neither waits nor sends, and asks `attempt.work` for what takes long. */
  readonly isComputation?: true;
  /** What a call from outside must have that ends its wait. */
  readonly webhook?: WebhookRules;
  /** A JSON Schema of the output. */
  readonly output?: JsonValue;
};

/** One attempt of a leaf, with all that a leaf may know of the run. */
export type Attempt = QueryAttempt & {
  readonly type: ExecutionType;
  readonly limits: Limits;
  readonly signal: AbortSignal;
  /** Waits durably: a replay waits only for the rest of the time. */
  wait(delayMs: number): Promise<Waited>;
  /** Waits durably for a signal from outside: see `Journal.waitForSignal`. */
  waitForSignal(timeoutMs: number): Promise<string | undefined>;
  /** Begins an execution for this attempt, once however often it is replayed: see `Children.run`. */
  runChild(request: ChildRequest): Promise<ChildRun>;
  /** Whether this attempt is the last one, however it ends. */
  readonly isLast: boolean;
  now(): number;
  /** Adds a note for people to the node's record, unless the node is hidden. */
  note(text: string): void;
  readonly send: SendRequest;
  /**
   * Opens the linked account's connection to an integration; the workflow's own if undefined. What the node gives from here on
   * is redacted. Rejects with NodeFailure where there is none.
   */
  connect(slug: string | undefined): Promise<ApiAccess>;
  /** Reads variables of the environment, for the templates of the node. Rejects with NodeFailure where one is missing. */
  readVariables(names: readonly string[]): Promise<UsedVariables>;
  /** A text without the secrets that the node has used. */
  redact(text: string): string;
  /** The time-out of an attempt, for what ends itself by it. */
  readonly timeoutMs: number;
  /** Keeps the console of a script in the node's record, unless the node is hidden. */
  keepConsole(lines: readonly ConsoleLine[]): void;
};

/** The rules for a call from outside that ends the wait of a node. */
export type WebhookRules = {
  /** Headers that it must have, by lower-case name, with exactly these values. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly validator?: PayloadValidator;
};

/** Sends a request after all records of the run are committed. */
export type SendRequest = (request: LeafRequest) => Promise<HttpAnswer>;

/** The part of a request that a leaf decides. */
export type LeafRequest = Omit<HttpRequest, "environmentId" | "timeoutMs" | "signal">;

/** The tools for compiling a leaf. `field` is the member of the node that is named for the kind, such as `transform`. */
export type LeafTools = { readonly field: Field; readonly limits: Limits; readonly queries: QueryCompiler };
