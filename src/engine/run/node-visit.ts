import type { Answer, ExecutionError, NodeRun, NodeState } from "../../domain/execution.ts";
import { redacted } from "../../domain/json/redacted.ts";
import type { JsonText } from "../../domain/json-text.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Graph, GraphNode, Level, Port } from "../graph/graph.ts";
import type { UnderWay } from "../journal/journal.ts";
import { Boundary, type BoundaryOptions } from "./boundary.ts";
import { type HiddenParts, NodeInputs } from "./node-inputs.ts";
import type { Run } from "./run-graph.ts";
import { type Outputs, RunScope } from "./run-scope.ts";

/** What all of a run shares. */
export class RunState {
  readonly run: Run;
  /** What a failure outside of Groups, and a Terminate anywhere, ends. */
  readonly boundary: Boundary;
  /** Set for good by the first Response node. */
  answer: Answer | undefined;
  /** A fault that is not the workflow's. */
  crash: { readonly error: unknown } | undefined;

  readonly hidden: HiddenParts;
  #resting: Promise<void> | undefined;

  constructor(run: Run, graph: BoundaryOptions & Pick<Graph, "hidden">) {
    this.run = run;
    this.hidden = graph.hidden;
    this.boundary = new Boundary(run.signal, graph);
  }

  /**
   * Lets other work of the process in where the run has held the thread for long: then it is to be waited for. What runs
   * side by side rests together, and goes on in the order in which it came.
   */
  rest(): Promise<void> | undefined {
    const { turns, journal, organizationId, environmentId } = this.run;
    if (this.#resting === undefined && turns.isOver) {
      const rested = () => {
        this.#resting = undefined;
      };
      const turn = () => turns.next([organizationId, environmentId]);
      // Where it is aborted, nothing starts any more, which each branch finds out for itself.
      this.#resting = journal.work(turn, this.boundary.signal).then(rested, rested);
    }
    return this.#resting;
  }
}

/** One run of a level: all nodes outside of Groups, or one iteration of a Group. */
export type LevelRun = {
  readonly state: RunState;
  readonly boundary: Boundary;
  readonly outputs: Outputs;
  /** What the paths of its nodes begin with: nothing, or as `4[12]/`. */
  readonly prefix: string;
};

/** Runs the nodes of a level. It is handed on, since a level's nodes may be Groups with levels of their own. */
export type RunLevel = (level: Level, run: LevelRun) => Promise<void>;

/** How a branch leaves a node: by a port or, where the node failed, nowhere. Then what waits for it waits no longer. */
export type Exit = Port | "nowhere";

/** A failure as it is told outside of its node's own record. */
export function toldOf({ isHidden }: GraphNode, failure: ExecutionError): ExecutionError {
  return isHidden ? { ...failure, message: redacted } : failure;
}

/** One visit of a node, and the record that it leaves. */
export class Visit implements UnderWay {
  readonly node: GraphNode;
  readonly level: LevelRun;
  readonly path: string;
  readonly startTime: number;
  readonly scope: RunScope;
  readonly #inputs: NodeInputs | undefined;
  #hasEndedRun = false;
  attempts = 0;
  /** How many requests of this visit a server outside has answered: what it did then is done. */
  answers = 0;
  /** The counts under which pages were answered with 2xx, in their order: they keep their keys. */
  readonly pageKeys: number[] = [];
  /** How many iterations a Group began, those of Groups inside of it included. */
  iterations = 0;
  since = Number.POSITIVE_INFINITY;
  next: UnderWay | undefined;
  previous: UnderWay | undefined;

  constructor(node: GraphNode, level: LevelRun) {
    this.node = node;
    this.level = level;
    this.path = level.prefix + node.id;
    const { run, hidden } = level.state;
    this.startTime = run.journal.beganAt(this.path) ?? run.clock.now();
    this.#inputs = run.keepsInputs === true ? new NodeInputs(hidden) : undefined;
    this.scope = new RunScope(run, level.outputs, this.#inputs);
  }

  get node_id(): string {
    return this.node.id;
  }

  get start_time(): number {
    return this.startTime;
  }

  /** Ends the visit with an output, and gives the port that the branch leaves by. */
  succeed(output: JsonText | undefined, port = this.node.defaultPort): Port {
    const hasPorts = this.node.step.kind === "rule";
    this.#record("SUCCESS", { ...(output !== undefined && { output }), ...(hasPorts && { port }) });
    if (output !== undefined) {
      this.level.outputs.setText(this.node.id, output);
    }
    return port;
  }

  /** Ends the visit without having run the node. */
  skip(): Port {
    return this.#goOn("SKIPPED");
  }

  /** Ends the visit because of an error. Gives a port where the branch goes on all the same; undefined where it was stopped. */
  fail(error: unknown): Exit | undefined {
    const { boundary } = this.level;
    if (boundary.signal.aborted) {
      // What an outside signal interrupts leaves no record, so that a replay runs it again.
      if (boundary.isOver && !this.#hasEndedRun) {
        this.#keepEnd("STOPPED", {});
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
   * Ends the run since no record has room any more, whatever the settings say of failures: nodes that went on would leave
   * nothing, and for ever more of it.
   */
  endRun(error: unknown): undefined {
    if (!(error instanceof NodeFailure)) {
      throw error;
    }
    const { state } = this.level;
    const failure = this.describe(error);
    this.#hasEndedRun = true;
    this.#keepEnd("ERRORED", { error: failure });
    state.boundary.terminate(toldOf(this.node, failure), state.run.journal.placeOf(this.path));
    return undefined;
  }

  #failWith(error: NodeFailure): Exit {
    const { boundary, state } = this.level;
    if (error.reason === "RECORDS_TOO_LARGE") {
      throw error;
    }
    const failure = this.describe(error);
    if (this.node.skipOnError) {
      return this.#goOn("ERRORED_AND_SKIPPED", failure);
    }
    this.#record(failedState(error), { error: failure });
    boundary.fail(toldOf(this.node, failure), state.run.journal.placeOf(this.path));
    return "nowhere";
  }

  /** Whether the node was about to send, in this run or an earlier one. */
  get isIntended(): boolean {
    return this.level.state.run.journal.recall(this.#intentPath) !== undefined;
  }

  /** Keeps that the node is about to send. Without a record of the node, whether it has sent is then not known. */
  recordIntent(): void {
    this.#record("WAITING", {}, this.#intentPath);
  }

  /** Whether an earlier run made the attempt that is about to be made, and recorded that it failed. */
  recallAttempt(): NodeRun | undefined {
    return this.level.state.run.journal.recall(this.#attemptPath);
  }

  countAnswer({ status }: { readonly status: number }): void {
    if (status >= 200 && status < 300) this.pageKeys.push(this.answers);
    this.answers += 1;
  }

  /** Goes on with the counts of an attempt that an earlier run made. */
  takeCounts({ answers = 0, page_keys = [] }: NodeRun): void {
    this.answers = answers;
    this.pageKeys.splice(0, this.pageKeys.length, ...page_keys);
  }

  /** Keeps an attempt that another one follows, so that a replay does not make it again. */
  recordAttempt(failure: NodeFailure): void {
    const { answers, pageKeys } = this;
    const counts = { ...(answers > 0 && { answers }), ...(pageKeys.length > 0 && { page_keys: [...pageKeys] }) };
    this.#record(failedState(failure), { error: this.describe(failure), ...counts }, this.#attemptPath);
  }

  /** Ends the run from inside the workflow. The record comes before those of the nodes that are stopped. */
  terminate(output: JsonText | undefined, failure: ExecutionError | undefined): undefined {
    const { state } = this.level;
    if (failure === undefined) {
      this.#record("SUCCESS", output === undefined ? {} : { output });
    } else {
      this.#record("ERRORED", { error: failure });
    }
    const told = failure && toldOf(this.node, failure);
    state.boundary.terminate(told, state.run.journal.placeOf(this.path));
    return undefined;
  }

  describe({ reason, message }: Pick<NodeFailure, "reason" | "message">): ExecutionError {
    const { id, name } = this.node;
    return { reason, message, node_id: id, ...(name !== "" && { node_name: name }) };
  }

  #goOn(state: NodeState, error?: ExecutionError): Port {
    // The text of JSON's null.
    const output = "null" as JsonText;
    this.#record(state, { output, ...(error && { error }) });
    this.level.outputs.setNone(this.node.id);
    return this.node.defaultPort;
  }

  get #intentPath(): string {
    return `${this.path}#intent`;
  }

  get #attemptPath(): string {
    return `${this.path}#${this.attempts}`;
  }

  get #inputText(): JsonText | undefined {
    if (this.#inputs === undefined) return undefined;
    // The JSON text of a text. What a hidden node reads is part of what it hides.
    if (this.node.isHidden) return JSON.stringify(redacted) as JsonText;
    const { text } = this.#inputs;
    if (text === undefined) this.scope.note("What the node's templates gave is too large to be kept.");
    return text;
  }

  #record(state: NodeState, rest: Rest, path = this.path): void {
    const { journal } = this.level.state.run;
    const isEnd = path === this.path;
    const input = isEnd ? this.#inputText : undefined;
    if (isEnd) journal.leave(this);
    journal.record(this.#runOf(state, { ...(input !== undefined && { input }), ...rest }, path));
  }

  #keepEnd(state: NodeState, rest: Rest): void {
    const { journal } = this.level.state.run;
    journal.leave(this);
    journal.recordEnd(this.#runOf(state, rest, this.path));
  }

  #runOf(state: NodeState, rest: Rest, path: string): NodeRun {
    return {
      path,
      node_id: this.node.id,
      state,
      attempts: this.attempts,
      start_time: this.startTime,
      end_time: this.level.state.run.clock.now(),
      ...rest,
      ...(this.node.isHidden && { is_hidden: true }),
      ...(this.iterations > 0 && { iterations: this.iterations }),
      ...(this.scope.notes.length > 0 && { notes: this.scope.notes }),
    };
  }
}

type Rest = Pick<NodeRun, "input" | "output" | "port" | "error" | "answers" | "page_keys">;

function failedState({ reason }: NodeFailure): NodeState {
  return reason === "NODE_TIMED_OUT" ? "TIMED_OUT" : "ERRORED";
}
