import {
  type ConsoleLine,
  type ExecutionError,
  errorPort,
  type NodeRun,
  type NodeState,
  type SentRequest,
} from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { redacted } from "../../domain/json/redacted.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { shownError } from "../errors/shown-error.ts";
import { type Exit, type GraphNode, nowhere, type Port } from "../graph/graph.ts";
import type { UnderWay } from "../journal/journal.ts";
import { type Redactor, redactOutput, redactValue } from "../secrets/redactor.ts";
import { NodeInputs } from "./node-inputs.ts";
import { outputOf } from "./outputs.ts";
import type { SubgraphRun } from "./run.ts";
import { RunScope } from "./run-scope.ts";

/** One visit of a node in a run, and the record that it leaves in the journal. */
export class NodeVisit implements UnderWay {
  readonly node: GraphNode;
  readonly subgraph: SubgraphRun;
  readonly path: string;
  readonly start_time: number;
  readonly scope: RunScope;
  readonly #inputs: NodeInputs | undefined;
  redactor: Redactor | undefined;
  #hasEndedRun = false;
  #isUnderWay = false;
  attempts = 0;
  /** The number of iterations that a Group has started, with those of Groups inside of it. */
  iterations = 0;
  console: readonly ConsoleLine[] | undefined;
  /** Gives the last request, for people. `isSecret` says that nothing of its values is shown. */
  sent: ((isSecret: boolean) => SentRequest | undefined) | undefined;
  /** The failed iterations of a Group, as a JSON array. */
  errors: JsonText | undefined;
  since = Number.POSITIVE_INFINITY;
  next: UnderWay | undefined;
  previous: UnderWay | undefined;

  constructor(node: GraphNode, subgraph: SubgraphRun) {
    const { run, hidden, recordsInputs, isReplay } = subgraph.state;
    this.node = node;
    this.subgraph = subgraph;
    this.path = subgraph.prefix + node.id;
    this.start_time = (isReplay ? run.journal.beganAt(this.path) : undefined) ?? run.clock.now();
    this.#inputs = recordsInputs === "ALWAYS" ? new NodeInputs(hidden) : undefined;
    this.scope = new RunScope(run, subgraph.outputs, this.#inputs);
  }

  get node_id(): string {
    return this.node.id;
  }

  /** Ends the visit with an output, and gives the port by which the branch leaves. */
  succeed(given: JsonText | undefined, port = this.node.defaultPort): Port {
    const output = given && redactOutput(given, this.redactor, this.subgraph.state.run.limits.output);
    const hasPorts = this.node.step.kind === "rule" || this.node.step.kind === "switch";
    this.#end("SUCCESS", outputOf(output, hasPorts ? port : undefined));
    if (output !== undefined) {
      this.subgraph.outputs.setText(this.node.id, output, this.errors);
    }
    return port;
  }

  /** Notes that the node, or another attempt of it, is running and may take long. */
  enter(): void {
    this.#isUnderWay = true;
    this.subgraph.state.run.journal.enter(this);
  }

  /** Notes that the node no longer runs, or waits. */
  leave(): void {
    if (this.#isUnderWay) {
      this.#isUnderWay = false;
      this.subgraph.state.run.journal.leave(this);
    }
  }

  /** Ends the visit without running the node. */
  skip(): Port {
    return this.#skipWith("SKIPPED");
  }

  /** Ends the visit with an error. Gives a port if the branch continues in spite of it, and undefined if the node was stopped. */
  fail(error: unknown): Exit | undefined {
    const { boundary } = this.subgraph;
    if (boundary.isStopped) {
      // A node that an outside signal interrupts leaves no record, so that a replay runs it again.
      if (boundary.isOver && !this.#hasEndedRun) {
        this.#recordEnd("STOPPED", {});
      }
      return undefined;
    }
    if (!(error instanceof NodeFailure)) {
      throw error;
    }
    try {
      return this.#failWith(error);
    } catch (refusal) {
      return this.endRun(refusal);
    }
  }

  /**
   * Ends the run because the records of the execution have reached their limit. The node's own settings for failures do not
   * count here: later nodes could leave no record, and an endless loop would never end.
   */
  endRun(error: unknown): undefined {
    if (!(error instanceof NodeFailure)) {
      throw error;
    }
    const { state } = this.subgraph;
    const failure = this.describe(error);
    this.#hasEndedRun = true;
    this.#recordEnd("ERRORED", { error: failure });
    state.boundary.terminate(shownError(failure, this.node), state.run.journal.positionOf(this.path));
    return undefined;
  }

  #failWith(error: NodeFailure): Exit {
    const { boundary, state } = this.subgraph;
    if (error.reason === "RECORDS_TOO_LARGE") {
      throw error;
    }
    const failure = this.describe(error);
    const { id, onError } = this.node;
    if (onError === "SKIP") {
      return this.#skipWith("ERRORED_AND_SKIPPED", failure);
    }
    const goesOn = onError === "PORT";
    const note = goesOn
      ? `The node failed, and its branch went on at the port "${errorPort}".`
      : boundary.noteOf(failure);
    if (note !== undefined) {
      this.scope.note(note);
    }
    this.#end(failedState(error), { ...this.#causeOf(), error: failure, ...(goesOn && { port: errorPort }) });
    this.subgraph.outputs.setFailure(id, { state: failedState(error), error: failure, errors: this.errors });
    if (goesOn) {
      return errorPort;
    }
    boundary.fail(shownError(failure, this.node), state.run.journal.positionOf(this.path));
    return nowhere;
  }

  /** Ends the run for a Terminate node. Its record comes before those of the nodes that it stops. */
  terminate(output: JsonText | undefined, failure: ExecutionError | undefined): undefined {
    const { state } = this.subgraph;
    if (failure === undefined) {
      this.#end("SUCCESS", outputOf(output, undefined));
    } else {
      this.#end("ERRORED", { error: failure });
    }
    state.boundary.terminate(failure && shownError(failure, this.node), state.run.journal.positionOf(this.path));
    return undefined;
  }

  describe(failure: Described): ExecutionError {
    if (failure.inner !== undefined) {
      return failure.inner;
    }
    const { body, isCut = false } = failure.answer ?? {};
    const details = body === undefined ? undefined : this.subgraph.state.keepBody(redactValue(body, this.redactor));
    return {
      ...this.describeAttempt(failure),
      ...details,
      ...((isCut || details?.is_cut === true) && { is_cut: true }),
    };
  }

  /** The failure of an attempt that is not the last, without the answer's body. */
  describeAttempt({ reason, message, answer, executionId }: Described): ExecutionError {
    const { id, name } = this.node;
    const status = answer?.status;
    return {
      reason,
      message: redactValue(message, this.redactor),
      node_id: id,
      ...(name !== "" && { node_name: name }),
      ...(executionId !== undefined && { execution_id: executionId }),
      ...(status !== undefined && { status }),
    };
  }

  #skipWith(state: "SKIPPED" | "ERRORED_AND_SKIPPED", error?: ExecutionError): Port {
    // This is the JSON text of null.
    const output = "null" as JsonText;
    this.#end(state, error === undefined ? { output } : { ...this.#causeOf(), output, error });
    this.subgraph.outputs.setNone(this.node.id, { state, error, errors: this.errors });
    return this.node.defaultPort;
  }

  /** What the node was given that failed, and what it had sent, as far as that is to be recorded. */
  #causeOf(): RecordDetails {
    const { node, scope, subgraph, sent } = this;
    const { state } = subgraph;
    if (node.isHidden || state.recordsInputs === "NEVER") {
      return {};
    }
    const readsHidden = node.reads.some(
      ({ source }) => (source.kind === "node" || source.kind === "node_fact") && state.hidden.has(source.nodeId),
    );
    const request = sent?.(readsHidden);
    let input: JsonText | undefined;
    if (this.#inputs === undefined && node.reads.length > 0) {
      const inputs = new NodeInputs(state.hidden);
      for (const reference of node.reads) {
        scope.collect(reference, inputs);
      }
      input = inputs.text;
      if (input === undefined || !state.keeps(input.length)) {
        input = undefined;
        scope.note("The values of the node's templates are too large to be kept.");
      }
    }
    const keepsRequest = request !== undefined && state.keeps(JSON.stringify(request).length);
    return { ...(input !== undefined && { input }), ...(keepsRequest && { request }) };
  }

  get #inputText(): JsonText | undefined {
    if (this.#inputs === undefined) {
      return undefined;
    }
    // Stringifying a string gives JSON text. A hidden node hides its inputs too.
    if (this.node.isHidden) {
      return JSON.stringify(redacted) as JsonText;
    }
    const { text } = this.#inputs;
    if (text === undefined) {
      this.scope.note("The values of the node's templates are too large to be kept.");
    }
    return text;
  }

  /** Records something of the visit under a path of its own. */
  record(mark: string, state: NodeState, details: RecordDetails): void {
    const run = this.#nodeRun(state, details, `${this.path}#${mark}`);
    this.subgraph.state.hasRoom = this.subgraph.state.run.journal.record(run);
  }

  #end(state: NodeState, details: RecordDetails): void {
    const input = this.#inputText;
    this.leave();
    const run = this.#nodeRun(state, input === undefined ? details : { input, ...details }, this.path);
    this.subgraph.state.hasRoom = this.subgraph.state.run.journal.record(run);
  }

  #recordEnd(state: NodeState, details: RecordDetails): void {
    this.leave();
    this.subgraph.state.run.journal.recordEnd(this.#nodeRun(state, details, this.path));
  }

  #nodeRun(state: NodeState, details: RecordDetails, path: string): NodeRun {
    const { node, attempts, start_time, iterations, errors } = this;
    const { clock, onRecord } = this.subgraph.state.run;
    const run: Mutable<NodeRun> = {
      path,
      node_id: node.id,
      state,
      attempts,
      start_time,
      end_time: clock.now(),
    };
    Object.assign(run, details);
    if (node.isHidden) {
      run.is_hidden = true;
    }
    if (iterations > 0) {
      run.iterations = iterations;
    }
    if (errors !== undefined) {
      run.errors = errors;
    }
    if (this.scope.notes.length > 0) {
      run.notes = redactValue(this.scope.notes, this.redactor);
    }
    if (this.console !== undefined && this.console.length > 0) {
      run.console = redactValue(this.console, this.redactor);
    }
    onRecord?.(node, run);
    return run;
  }
}

type Described = Pick<NodeFailure, "reason" | "message"> &
  Partial<Pick<NodeFailure, "answer" | "executionId" | "inner">>;

type Mutable<Value> = { -readonly [Name in keyof Value]: Value[Name] };

/** The optional parts of a record, beside the facts of the visit. */
export type RecordDetails = Pick<NodeRun, "input" | "output" | "port" | "error" | "answers" | "page_keys" | "request"> &
  Partial<Pick<NodeRun, "start_time">>;

export function failedState({ reason }: Pick<ExecutionError, "reason">): NodeState {
  return reason === "NODE_TIMED_OUT" ? "TIMED_OUT" : "ERRORED";
}
