import {
  type ExecutionEvent,
  type NodeRun,
  NodeRun_State as NodeState,
  NodeRun_StateSchema as NodeStateSchema,
  Execution_State as State,
  Execution_StateSchema as StateSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { type Output, printable } from "../output/output.ts";
import { errorText, notesText, spanText, timeText, wordOf } from "./execution-text.ts";

/** The most failures that are shown inside one Group; more are counted. */
const failuresMax = 5;

/** The most running nodes that are shown inside one Group; more are counted. */
const underWayMax = 5;

type Branch = {
  run?: NodeRun;
  iterations: number;
  failed: number;
  readonly failures: NodeRun[];
  /** The running nodes inside a Group, by path. */
  readonly underWay: Map<string, NodeRun>;
};

/**
 * Draws the nodes of an execution as a tree, again with each event: one line for each node outside Groups, and under each
 * Group the count of its iterations, its failures and its running nodes.
 */
export class LiveTree {
  readonly #output: Output;
  readonly #branches = new Map<string, Branch>();
  #head = "";
  #end = "";
  #drawn = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  show({ fact }: ExecutionEvent): void {
    if (fact.case === "accepted") {
      this.#head = `${fact.value.executionId}  ${timeText(fact.value.createTime) ?? ""}`;
    }
    if (fact.case === "nodeStarted") {
      this.#started(fact.value);
    }
    if (fact.case === "nodeFinished") {
      this.#node(fact.value);
    }
    if (fact.case === "iterationFinished") {
      this.#iteration(fact.value);
    }
    if (fact.case === "ended") {
      const { state, error } = fact.value;
      const text = `${wordOf(StateSchema, state)}${error === undefined ? "" : `  ${errorText(error)}`}`;
      this.#end = this.#colored(text, state === State.COMPLETED);
      // Nodes that were running when the execution ended send no event of their own.
      for (const branch of this.#branches.values()) {
        if (branch.run?.endTime === undefined) {
          delete branch.run;
        }
        branch.underWay.clear();
      }
    }
    this.#draw();
  }

  /** Nodes that finish quickly send no nodeStarted event. */
  #started(run: NodeRun): void {
    const branch = this.#branch(run.path);
    if (isTop(run.path)) {
      branch.run = run;
    } else {
      branch.underWay.set(run.path, run);
    }
  }

  #node(run: NodeRun): void {
    const branch = this.#branch(run.path);
    branch.underWay.delete(run.path);
    if (isTop(run.path)) {
      branch.run = run;
    } else if (isFailed(run)) {
      branch.failures.push(run);
    }
  }

  #iteration(run: NodeRun): void {
    const branch = this.#branch(run.path);
    // Nodes that were running when their iteration ended send no event of their own.
    for (const path of branch.underWay.keys()) {
      if (path.startsWith(`${run.path}/`)) {
        branch.underWay.delete(path);
      }
    }
    if (run.path.includes("/")) {
      return;
    }
    branch.iterations += 1;
    if (isFailed(run)) {
      branch.failed += 1;
    }
  }

  /** The branch of the path's outermost node. */
  #branch(path: string): Branch {
    const top = /^[^[/]*/.exec(path)?.[0] ?? path;
    const branch = this.#branches.get(top) ?? { iterations: 0, failed: 0, failures: [], underWay: new Map() };
    this.#branches.set(top, branch);
    return branch;
  }

  /** Moves the cursor up over the previous drawing, as far as it is still on the screen, and draws again. */
  #draw(): void {
    const { stdout } = this.#output;
    const lines = [this.#head, ...[...this.#branches].flatMap(([path, branch]) => this.#lines(path, branch))];
    const rows = Math.max(3, (stdout.rows ?? 24) - 2);
    const isOver = this.#end !== "";
    const hidden = isOver ? 0 : Math.max(0, lines.length - rows);
    const shown = hidden === 0 ? lines : [`… ${hidden} lines above`, ...lines.slice(hidden + 1)];
    const back = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A\x1b[0J`;
    stdout.write(`${back}${[...shown, ...(isOver ? [this.#end] : [])].join("\n")}\n`);
    this.#drawn = shown.length;
  }

  #lines(path: string, { run, iterations, failed, failures, underWay }: Branch): readonly string[] {
    const counted = iterations === 0 ? "" : `${iterations} iterations${failed === 0 ? "" : `, ${failed} failed`}`;
    const own = run === undefined ? `  … ${path}  ${counted}` : `  ${this.#text(run, counted)}`;
    const more = failures.length > failuresMax ? [`    … ${failures.length - failuresMax} more failures`] : [];
    const inner = (runs: readonly NodeRun[]) => runs.map((one) => `    ${this.#text(one, "")}`);
    const [running, hidden] = [[...underWay.values()].slice(0, underWayMax), underWay.size - underWayMax];
    const others = hidden > 0 ? [`    … ${hidden} more under way`] : [];
    return [own, ...inner(failures.slice(0, failuresMax)), ...more, ...inner(running), ...others];
  }

  #text(run: NodeRun, counted: string): string {
    const { path, name = "", state, error, notes } = run;
    const mark = isFailed(run) ? "✗" : state === NodeState.SUCCESS ? "✓" : "·";
    const word = state === NodeState.SUCCESS ? "" : wordOf(NodeStateSchema, state);
    const why = error === undefined ? "" : `${error.reason}: ${error.message}`;
    const parts = [path, name, word, spanText(run), counted, why, notesText(notes.length)].filter(
      (part) => part !== "",
    );
    return `${this.#colored(mark, !isFailed(run))} ${this.#cut(printable(parts.join("  ")))}`;
  }

  /** Cuts a line to the terminal's width: a wrapped line would take two rows and break the redrawing. */
  #cut(text: string): string {
    const width = (this.#output.stdout.columns ?? 80) - 8;
    return text.length <= width ? text : `${text.slice(0, Math.max(1, width - 1))}…`;
  }

  #colored(text: string, isGood: boolean): string {
    return this.#output.isColored ? `\x1b[${isGood ? 32 : 31}m${text}\x1b[0m` : text;
  }
}

function isTop(path: string): boolean {
  return !path.includes("/") && !path.includes("[");
}

function isFailed({ state }: NodeRun): boolean {
  return state === NodeState.ERRORED || state === NodeState.TIMED_OUT;
}
