import type { ExecutionError, NodeRun, NodeState } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { redacted } from "../../domain/json/redacted.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Exit, GraphNode, Port } from "../graph/graph.ts";
import type { UnderWay } from "../journal/journal.ts";
import { NodeInputs } from "./node-inputs.ts";
import type { SubgraphRun } from "./run.ts";
import { RunScope } from "./run-scope.ts";

/** One visit of a node in a run, and the record that it leaves in the journal. */
export class NodeVisit implements UnderWay {
  readonly node: GraphNode;
  readonly subgraph: SubgraphRun;
  readonly path: string;
  readonly startTime: number;
  readonly scope: RunScope;
  readonly #inputs: NodeInputs | undefined;
  #hasEndedRun = false;
  attempts = 0;
  /** The number of requests of this visit that have a definite answer. It is part of the next Idempotency-Key. */
  answers = 0;
  /** The counts that were part of the keys of pages answered with 2xx, in page order. A repeated page has the same key. */
  readonly pageKeys: number[] = [];
  /** The number of iterations that a Group has started, with those of Groups inside of it. */
  iterations = 0;
  since = Number.POSITIVE_INFINITY;
  next: UnderWay | undefined;
  previous: UnderWay | undefined;

  constructor(node: GraphNode, subgraph: SubgraphRun) {
    this.node = node;
    this.subgraph = subgraph;
    this.path = subgraph.prefix + node.id;
    const { run, hidden } = subgraph.state;
    this.startTime = run.journal.beganAt(this.path) ?? run.clock.now();
    this.#inputs = run.keepsInputs === true ? new NodeInputs(hidden) : undefined;
    this.scope = new RunScope(run, subgraph.outputs, this.#inputs);
  }

  get node_id(): string {
    return this.node.id;
  }

  get start_time(): number {
    return this.startTime;
  }

  /** Ends the visit with an output, and gives the port by which the branch leaves. */
  succeed(output: JsonText | undefined, port = this.node.defaultPort): Port {
    const hasPorts = this.node.step.kind === "rule";
    this.#record("SUCCESS", { ...(output !== undefined && { output }), ...(hasPorts && { port }) });
    if (output !== undefined) {
      this.subgraph.outputs.setText(this.node.id, output);
    }
    return port;
  }

  /** Ends the visit without running the node. */
  skip(): Port {
    return this.#skipWith("SKIPPED");
  }

  /** Ends the visit with an error. Gives a port if the branch continues in spite of it, and undefined if the node was stopped. */
  fail(error: unknown): Exit | undefined {
    const { boundary } = this.subgraph;
    if (boundary.signal.aborted) {
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
    state.boundary.terminate(publicFailure(this.node, failure), state.run.journal.positionOf(this.path));
    return undefined;
  }

  #failWith(error: NodeFailure): Exit {
    const { boundary, state } = this.subgraph;
    if (error.reason === "RECORDS_TOO_LARGE") {
      throw error;
    }
    const failure = this.describe(error);
    if (this.node.skipOnError) {
      return this.#skipWith("ERRORED_AND_SKIPPED", failure);
    }
    this.#record(failedState(error), { error: failure });
    boundary.fail(publicFailure(this.node, failure), state.run.journal.positionOf(this.path));
    return "nowhere";
  }

  /** Whether this run or an earlier one was about to send the node's request. */
  get isIntended(): boolean {
    return this.subgraph.state.run.journal.recall(this.#intentPath) !== undefined;
  }

  /**
   * Records the intent to send, which at-most-once delivery needs: a replay that finds an intent without a result cannot know
   * whether the request was sent, and does not send it again.
   */
  recordIntent(): void {
    this.#record("WAITING", {}, this.#intentPath);
  }

  /** The record of the attempt that is about to be made, if an earlier run made it and it failed. */
  recallAttempt(): NodeRun | undefined {
    return this.subgraph.state.run.journal.recall(this.#attemptPath);
  }

  countAnswer({ status }: { readonly status: number }): void {
    if (status >= 200 && status < 300) {
      this.pageKeys.push(this.answers);
    }
    this.answers += 1;
  }

  /** Takes over the counts of an attempt that an earlier run made. */
  takeCounts({ answers = 0, page_keys = [] }: NodeRun): void {
    this.answers = answers;
    this.pageKeys.splice(0, this.pageKeys.length, ...page_keys);
  }

  /** Records a failed attempt that another one follows, so that a replay does not make it again. */
  recordAttempt(failure: NodeFailure): void {
    const { answers, pageKeys } = this;
    const counts = { ...(answers > 0 && { answers }), ...(pageKeys.length > 0 && { page_keys: [...pageKeys] }) };
    this.#record(failedState(failure), { error: this.describe(failure), ...counts }, this.#attemptPath);
  }

  /** Ends the run for a Terminate node. Its record comes before those of the nodes that it stops. */
  terminate(output: JsonText | undefined, failure: ExecutionError | undefined): undefined {
    const { state } = this.subgraph;
    if (failure === undefined) {
      this.#record("SUCCESS", output === undefined ? {} : { output });
    } else {
      this.#record("ERRORED", { error: failure });
    }
    state.boundary.terminate(failure && publicFailure(this.node, failure), state.run.journal.positionOf(this.path));
    return undefined;
  }

  describe({ reason, message }: Pick<NodeFailure, "reason" | "message">): ExecutionError {
    const { id, name } = this.node;
    return { reason, message, node_id: id, ...(name !== "" && { node_name: name }) };
  }

  #skipWith(state: NodeState, error?: ExecutionError): Port {
    // This is the JSON text of null.
    const output = "null" as JsonText;
    this.#record(state, { output, ...(error && { error }) });
    this.subgraph.outputs.setNone(this.node.id);
    return this.node.defaultPort;
  }

  get #intentPath(): string {
    return `${this.path}#intent`;
  }

  get #attemptPath(): string {
    return `${this.path}#${this.attempts}`;
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

  #record(state: NodeState, details: Details, path = this.path): void {
    const { journal } = this.subgraph.state.run;
    const isEnd = path === this.path;
    const input = isEnd ? this.#inputText : undefined;
    if (isEnd) {
      journal.leave(this);
    }
    journal.record(this.#nodeRun(state, { ...(input !== undefined && { input }), ...details }, path));
  }

  #recordEnd(state: NodeState, details: Details): void {
    const { journal } = this.subgraph.state.run;
    journal.leave(this);
    journal.recordEnd(this.#nodeRun(state, details, this.path));
  }

  #nodeRun(state: NodeState, details: Details, path: string): NodeRun {
    return {
      path,
      node_id: this.node.id,
      state,
      attempts: this.attempts,
      start_time: this.startTime,
      end_time: this.subgraph.state.run.clock.now(),
      ...details,
      ...(this.node.isHidden && { is_hidden: true }),
      ...(this.iterations > 0 && { iterations: this.iterations }),
      ...(this.scope.notes.length > 0 && { notes: this.scope.notes }),
    };
  }
}

type Details = Pick<NodeRun, "input" | "output" | "port" | "error" | "answers" | "page_keys">;

function failedState({ reason }: NodeFailure): NodeState {
  return reason === "NODE_TIMED_OUT" ? "TIMED_OUT" : "ERRORED";
}

/** A failure as it appears outside of its node's own record: without its message, if the node is hidden. */
export function publicFailure({ isHidden }: GraphNode, failure: ExecutionError): ExecutionError {
  return isHidden ? { ...failure, message: redacted } : failure;
}
