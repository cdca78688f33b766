import type { Clock } from "../../domain/clock.ts";
import type { EventLoopYielder } from "../../domain/event-loop-yielder.ts";
import type { Answer } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Graph, HiddenParts, Subgraph } from "../graph/graph.ts";
import type { HttpClient } from "../http/http-client.ts";
import type { Journal } from "../journal/journal.ts";
import type { ProcessPool } from "../pool/process-pool.ts";
import { Boundary, type BoundaryOptions } from "./boundary.ts";
import type { Outputs, RunValues } from "./run-scope.ts";

/** One execution as the engine sees it. */
export type Run = RunValues & {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly journal: Journal;
  /** Whether records say what the templates of their nodes gave. */
  readonly keepsInputs?: boolean;
  /** The pool of processes and the event loop are shared fairly between organizations, and within one between environments. */
  readonly organizationId: string;
  /** Connections to the outside are shared within one environment only. */
  readonly environmentId: string;
  readonly http: Pick<HttpClient, "send">;
  /** Computes what has no bound on the thread. */
  readonly pool: Pick<ProcessPool, "run">;
  readonly yielder: EventLoopYielder;
  /** Aborts when the run must end for a reason outside of the workflow. Nodes that are running then leave no record. */
  readonly signal: AbortSignal;
};

/** The state that all parts of a run share. */
export class RunState {
  readonly run: Run;
  /** Ends with a failure outside of Groups, and with a Terminate anywhere. */
  readonly boundary: Boundary;
  /** The response of the first Response node that runs. A later one does not replace it. */
  answer: Answer | undefined;
  /** An error that is not the workflow's: a bug, or a fault of the journal. It ends the run. */
  crash: { readonly error: unknown } | undefined;

  readonly hidden: HiddenParts;
  #yielding: Promise<void> | undefined;

  constructor(run: Run, graph: BoundaryOptions & Pick<Graph, "hidden">) {
    this.run = run;
    this.hidden = graph.hidden;
    this.boundary = new Boundary(run.signal, graph);
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

/** One run of a subgraph: of the nodes outside of Groups, or of one iteration of a Group. */
export type SubgraphRun = {
  readonly state: RunState;
  readonly boundary: Boundary;
  readonly outputs: Outputs;
  /** The beginning of its nodes' paths: empty outside of Groups, `4[12]/` in an iteration. */
  readonly prefix: string;
};

/**
 * Runs the nodes of a subgraph. This is the interpreter's recursion: a node may be a Group with a subgraph of its own, so
 * `runGraph` hands the function down to what runs Groups.
 */
export type RunSubgraph = (subgraph: Subgraph, run: SubgraphRun) => Promise<void>;
