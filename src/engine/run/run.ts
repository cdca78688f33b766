import type { JsonValue } from "@bufbuild/protobuf";
import type { Clock } from "../../domain/clock.ts";
import type { EventLoopYielder } from "../../domain/event-loop-yielder.ts";
import type { Answer, ExecutionError, NodeRun } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Graph, GraphNode, HiddenParts, RecordsInputs, Subgraph } from "../graph/graph.ts";
import type { HttpClient } from "../http/http-client.ts";
import type { Children } from "../journal/children.ts";
import type { Journal } from "../journal/journal.ts";
import type { ProcessPool } from "../pool/process-pool.ts";
import type { ConnectionSource } from "../secrets/connection-source.ts";
import type { VariableSource } from "../secrets/variable-source.ts";
import type { Arrivals } from "./arrivals.ts";
import type { Outputs } from "./outputs.ts";
import type { RunValues } from "./run-scope.ts";

/** One execution as the engine sees it. */
export type Run = RunValues & {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly journal: Journal;
  /** The response that an earlier run has recorded. */
  readonly answer?: Answer | undefined;
  /** Whether records say what the templates of their nodes gave. */
  readonly keepsInputs?: boolean;
  /** The pool of processes and the event loop are shared fairly between organisations, and within one between environments. */
  readonly organizationId: string;
  /** Connections to the outside are shared within one environment only. */
  readonly environmentId: string;
  readonly http: Pick<HttpClient, "send">;
  /** Absent where there is nothing to begin executions with. */
  readonly children?: Children;
  /** The connections of the linked account. */
  readonly connections: ConnectionSource;
  /** The variables of the environment. */
  readonly variables: VariableSource;
  /** Computes what has no bound on the thread. */
  readonly pool: Pick<ProcessPool, "run">;
  readonly yielder: EventLoopYielder;
  /** Called with each record that a node leaves, for metrics. */
  readonly onRecord?: ((node: GraphNode, record: NodeRun) => void) | undefined;
  /** Aborts when the run must end for a reason outside of the workflow. Nodes that are running then leave no record. */
  readonly signal: AbortSignal;
};

/** The state that all parts of a run share. */
export class RunState {
  readonly run: Run;
  /** Ends with a failure outside of Groups, and with a Terminate anywhere. */
  readonly boundary: Boundary;
  /** Whether an earlier run has left records. */
  readonly isReplay: boolean;
  /** Whether the journal had room for more at the last record. */
  hasRoom = true;
  /** The response of the first Response node that runs. A later one does not replace it. */
  answer: Answer | undefined;
  /** The characters of failed answers' bodies that may still be kept in full. */
  #bodyCharsLeft = 4 * 1024 * 1024;
  /** An error that is not the workflow's: a bug, or a fault of the journal. It ends the run. */
  crash: { readonly error: unknown } | undefined;

  readonly hidden: HiddenParts;
  readonly recordsInputs: RecordsInputs;
  #yielding: Promise<void> | undefined;

  constructor(run: Run, graph: Pick<Graph, "hidden" | "finishesBranches" | "recordsInputs">) {
    this.run = run;
    this.hidden = graph.hidden;
    this.recordsInputs = run.keepsInputs === true ? "ALWAYS" : graph.recordsInputs;
    this.boundary = new Boundary(run.signal, graph.finishesBranches);
    this.isReplay = run.journal.isReplay;
  }

  /**
   * What is kept of the body of an answer that failed a node. Of a Group with thousands of failed iterations the last keep
   * only the beginnings, so that their records fit into those of an execution.
   */
  keepBody(body: JsonValue): Pick<ExecutionError, "body" | "is_cut"> {
    const text = JSON.stringify(body);
    if (text.length <= Math.max(this.#bodyCharsLeft, shortBodyChars)) {
      this.#bodyCharsLeft -= text.length;
      return { body };
    }
    const start = (typeof body === "string" ? body : text).slice(0, shortBodyChars);
    return { body: start.toWellFormed(), is_cut: true };
  }

  /** Whether so many characters beside a failure are kept. They count as bodies do. */
  keeps(chars: number): boolean {
    const fits = chars <= this.#bodyCharsLeft;
    if (fits) {
      this.#bodyCharsLeft -= chars;
    }
    return fits;
  }

  /**
   * Yields to the event loop where the run has held the thread for a whole time slice: the caller awaits the promise, if
   * there is one. All branches of the run wait for the same promise, and go on in the order in which they came.
   */
  yieldIfOver(): Promise<void> | undefined {
    const { yielder, journal, organizationId, environmentId } = this.run;
    if (this.#yielding === undefined && yielder.isSliceOver) {
      const resumed = () => {
        this.#yielding = undefined;
      };
      const turn = () => yielder.nextSlice([organizationId, environmentId]);
      // After an abort no node starts any more; each branch finds that out by itself, so a rejection needs no other handling.
      this.#yielding = journal.work(turn, this.boundary.signal).then(resumed, resumed);
    }
    return this.#yielding;
  }
}

const shortBodyChars = 512;

type NoteOf = (failure: ExecutionError) => string | undefined;

/** The part of a run that a failure ends: the whole run, an iteration of a Group, or one side of a Try & Catch. Ending it ends all boundaries inside. */
export class Boundary {
  /** The failure that it ends with, at once or when its branches have finished. */
  failure: ExecutionError | undefined;
  /** The number of iterations inside of it that have started or are about to. */
  iterations = 0;
  readonly #outside: AbortSignal;
  readonly #outer: Boundary | undefined;
  /** Whether the branches beside a failed node run to their end. */
  readonly #finishesBranches: boolean;
  /** The boundaries inside of it whose signals are in use. */
  #inner: Set<Boundary> | undefined;
  /** What a failure that ends it says in its node's record. */
  readonly #noteOf: NoteOf | undefined;
  /** Made when something first waits: most nodes never do, and a signal for each iteration costs more than they. */
  #controller: AbortController | undefined;
  #isOver = false;
  #isStopped = false;
  /** The journal position of the record that decided how it ends. */
  #decidedAt = Number.POSITIVE_INFINITY;

  /** @param outside aborts when the run must stop for a reason outside of the workflow */
  constructor(outside: AbortSignal, finishesBranches: boolean, outer?: Boundary, noteOf?: NoteOf) {
    this.#outside = outside;
    this.#finishesBranches = finishesBranches;
    this.#outer = outer;
    this.#noteOf = noteOf;
  }

  /** Makes a boundary inside of this one. Whoever makes it closes it. */
  inside(): Boundary {
    return new Boundary(this.#outside, this.#finishesBranches, this);
  }

  /** Makes a boundary whose first failure stops all of it, and may be caught around it. Whoever makes it closes it. */
  insideTry(noteOf: NoteOf): Boundary {
    return new Boundary(this.#outside, this.#finishesBranches, this, noteOf);
  }

  /** A note for the record of the node that fails in it: where the failure goes. */
  noteOf(failure: ExecutionError): string | undefined {
    return this.#noteOf?.(failure);
  }

  /** Whether no node of it starts any more. */
  get isStopped(): boolean {
    return this.#isStopped || (this.#outer?.isStopped ?? this.#outside.aborted);
  }

  /** Throws, no matter what, where no node of it starts any more. */
  throwIfStopped(): void {
    if (this.isStopped) {
      throw stopped;
    }
  }

  /** Aborts when the boundary stops. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#followOuter();
    }
    return this.#controller.signal;
  }

  /** Whether the workflow itself ended it. Nodes that were running then are STOPPED, and a replay does not resume them. */
  get isOver(): boolean {
    return this.#isOver || (this.#outer?.isOver ?? false);
  }

  /** Counts iterations in this boundary and in all around it. */
  countIterations(count: number): void {
    this.iterations += count;
    this.#outer?.countIterations(count);
  }

  /** Notes that a node failed. @param position that of its record in the journal */
  fail(failure: ExecutionError, position: number): void {
    this.#decide(failure, position);
    if (!this.#finishesBranches || this.#noteOf !== undefined) {
      this.end();
    }
  }

  /** Notes that a Terminate ends it, with a failure or without one. */
  terminate(failure: ExecutionError | undefined, position: number): void {
    this.#decide(failure, position);
    this.end();
  }

  end(): void {
    this.#isOver = true;
    this.interrupt();
  }

  /** Stops what is running without a decision of the workflow, so that a replay can resume it. */
  interrupt(reason: unknown = stopped): void {
    this.#isStopped = true;
    this.#controller?.abort(reason);
    for (const inner of this.#inner ?? []) {
      inner.interrupt(reason);
    }
  }

  /** Nothing of it runs any more. */
  close(): void {
    if (this.#outer !== undefined) {
      this.#outer.#inner?.delete(this);
    }
  }

  #followOuter(): void {
    if (this.isStopped) {
      this.interrupt(this.#outside.aborted ? this.#outside.reason : stopped);
    } else if (this.#outer === undefined) {
      // The signal from outside lives no longer than the run.
      this.#outside.addEventListener("abort", () => this.interrupt(this.#outside.reason), { once: true });
    } else {
      this.#outer.#inner ??= new Set();
      this.#outer.#inner.add(this);
      // Makes sure that it follows its own outer boundary.
      void this.#outer.signal;
    }
  }

  /** The first record decides. A replay follows the graph, and may meet that record last. */
  #decide(failure: ExecutionError | undefined, position: number): void {
    if (position < this.#decidedAt) {
      this.#decidedAt = position;
      this.failure = failure;
    }
  }
}

/** The reason of the signals of all boundaries that the workflow stopped: an abort without one makes a DOMException each time. */
const stopped = new Error("The workflow has stopped this part of the run.");

/** One run of a subgraph: of the outermost nodes, of one iteration of a Group, or of one side of a Try & Catch. */
export type SubgraphRun = {
  readonly state: RunState;
  readonly boundary: Boundary;
  readonly outputs: Outputs;
  /** The beginning of its nodes' paths: empty for the outermost, `4[12]/` in an iteration or an attempt of a Try & Catch. */
  readonly prefix: string;
  /** Present where the subgraph has a Merge. */
  readonly arrivals?: Arrivals;
};

/**
 * Runs the nodes of a subgraph. This is the interpreter's recursion: a node may have a subgraph of its own, so `runGraph` hands
 * the function down to what runs Groups and the like. Gives a promise only if something waits.
 */
export type RunSubgraph = (subgraph: Subgraph, run: SubgraphRun) => Promise<void> | undefined;
