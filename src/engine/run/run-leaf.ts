import type { ConsoleLine, ExecutionType, NodeRun } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { Limits } from "../../domain/limits.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { LeafStep } from "../graph/graph.ts";
import type { HttpAnswer } from "../http/http-request.ts";
import type { ChildRequest, ChildRun } from "../journal/children.ts";
import type { Waited } from "../journal/journal.ts";
import type { Attempt, LeafRequest } from "../nodes/leaf.ts";
import type { ProcessPool } from "../pool/process-pool.ts";
import type { NodeTimeout } from "../query/query-run.ts";
import { ApiAccess } from "../secrets/api-access.ts";
import { Redactor } from "../secrets/redactor.ts";
import { UsedVariables } from "../secrets/used-variables.ts";
import { checkOutput } from "../values/check-output.ts";
import { openTimeout } from "./node-timeout.ts";
import { failedState, type NodeVisit } from "./node-visit.ts";
import { isLastAttempt, retryDelayMs } from "./retry-delay.ts";
import type { Run } from "./run.ts";
import type { RunScope } from "./run-scope.ts";
import { RequestSender } from "./send-request.ts";

/**
 * Runs a leaf with retry and backoff, and gives the checked output: at once, if the leaf only computes. A replay does not
 * repeat attempts that are recorded as failed. An output that is refused is not a reason for a retry, since the leaf would
 * give it again.
 */
export function runLeaf(step: LeafStep, visit: NodeVisit): JsonText | Promise<JsonText> {
  const { run, hasRoom } = visit.subgraph.state;
  const leaf = new LeafRun(step, visit);
  // A replay takes the same way, so that it comes as far as the run before beside a node that ends it.
  if (step.leaf.isComputation && hasRoom && !leaf.hasRecords) {
    return leaf.compute();
  }
  return run.journal.work(() => leaf.run(), visit.subgraph.boundary.signal);
}

/** The attempts of one visit of a leaf. It is also what the leaf knows of the run. */
class LeafRun implements Attempt {
  readonly #step: LeafStep;
  readonly #visit: NodeVisit;
  readonly #run: Run;
  #sender: RequestSender | undefined;
  /** When the current attempt began; absent where it is the first, which began with the visit. */
  #attemptStart: number | undefined;

  constructor(step: LeafStep, visit: NodeVisit) {
    this.#step = step;
    this.#visit = visit;
    this.#run = visit.subgraph.state.run;
  }

  /** Whether an earlier run has made an attempt. */
  get hasRecords(): boolean {
    return this.#recall("1") !== undefined;
  }

  compute(): JsonText | Promise<JsonText> {
    this.#visit.attempts = 1;
    const made = this.#attempt();
    return made instanceof Promise || made instanceof NodeFailure ? this.#afterFirst(made) : this.#check(made);
  }

  async #afterFirst(first: unknown): Promise<JsonText> {
    const made = await settled(first);
    return made instanceof NodeFailure && this.#mayRetry(made)
      ? this.work(() => this.#settle(made))
      : this.#settle(made);
  }

  run(): Promise<JsonText> {
    return this.#settle(this.#nextAttempt());
  }

  async #settle(first: unknown): Promise<JsonText> {
    let made = await settled(first);
    while (made instanceof NodeFailure) {
      if (!this.#mayRetry(made)) {
        throw made;
      }
      this.#visit.leave();
      this.#visit.record(String(this.#visit.attempts), failedState(made), {
        start_time: this.#attemptStart ?? this.#visit.start_time,
        error: this.#visit.describeAttempt(made),
        ...this.#sender?.counts,
      });
      await this.#backOff(made.retryAfterMs);
      made = await settled(this.#nextAttempt());
    }
    return this.#check(made);
  }

  /** Makes the next attempt that no earlier run has made. */
  #nextAttempt(): unknown {
    if (this.#visit.subgraph.state.isReplay) {
      return this.#replayAttempts();
    }
    this.#visit.attempts += 1;
    this.#attemptStart = this.#visit.attempts === 1 ? undefined : this.#run.clock.now();
    this.#visit.enter();
    return this.#attempt();
  }

  async #replayAttempts(): Promise<unknown> {
    for (;;) {
      this.#visit.attempts += 1;
      const recalled = this.#recall(String(this.#visit.attempts));
      if (this.#recall("intent") !== undefined) {
        const message =
          "The run was taken up again after the node may have sent its request, which it may do only once.";
        throw new NodeFailure("OUTCOME_UNKNOWN", message);
      }
      if (recalled === undefined) {
        this.#attemptStart = this.#visit.attempts === 1 ? undefined : this.#run.clock.now();
        this.#visit.enter();
        return await this.#attempt();
      }
      this.#sender = new RequestSender(this.#step, this.#visit, recalled);
      await this.#backOff(0);
    }
  }

  #recall(mark: string): NodeRun | undefined {
    const { isReplay } = this.#visit.subgraph.state;
    return isReplay ? this.#run.journal.recall(`${this.#visit.path}#${mark}`) : undefined;
  }

  /** Gives the output, a promise of it, or the failure. */
  #attempt(): unknown {
    this.#sender?.beginAttempt();
    try {
      return this.#step.leaf.run(this);
    } catch (error) {
      return asFailure(error);
    }
  }

  #check(output: unknown): JsonText {
    return checkOutput(output, this.#run.limits.output);
  }

  #mayRetry(failure: NodeFailure): boolean {
    return !this.isLast && !failure.isFinal && !this.#visit.subgraph.boundary.isStopped;
  }

  async #backOff(leastMs: number): Promise<void> {
    const { attempts, path } = this.#visit;
    const delayMs = Math.max(retryDelayMs(this.#step.retry, this.#visit), leastMs);
    if (delayMs > 0) {
      const { journal, limits } = this.#run;
      await journal.wait(`${path}#${attempts + 1}`, Math.min(delayMs, limits.delayMs), this.signal);
    }
  }

  get isLast(): boolean {
    return isLastAttempt(this.#step.retry, this.#visit);
  }

  get executionId(): string {
    return this.#run.executionId;
  }

  get type(): ExecutionType {
    return this.#run.type;
  }

  get limits(): Limits {
    return this.#run.limits;
  }

  get path(): string {
    return this.#visit.path;
  }

  get startTime(): number {
    return this.#visit.start_time;
  }

  get scope(): RunScope {
    return this.#visit.scope;
  }

  get signal(): AbortSignal {
    return this.#visit.subgraph.boundary.signal;
  }

  get timeoutMs(): number {
    return this.#step.timeoutMs;
  }

  get tenantPath(): readonly [string, string] {
    return [this.#run.organizationId, this.#run.environmentId];
  }

  get pool(): Pick<ProcessPool, "run"> {
    return this.#run.pool;
  }

  now(): number {
    return this.#run.clock.now();
  }

  note(text: string): void {
    if (!this.#visit.node.isHidden) {
      this.#visit.scope.note(text);
    }
  }

  keepConsole(lines: readonly ConsoleLine[]): void {
    if (!this.#visit.node.isHidden) {
      this.#visit.console = lines;
    }
  }

  wait(delayMs: number): Promise<Waited> {
    this.#visit.leave();
    return this.#run.journal.wait(this.path, delayMs, this.signal);
  }

  waitForSignal(timeoutMs: number): Promise<string | undefined> {
    this.#visit.leave();
    return this.#run.journal.waitForSignal(this.path, timeoutMs, this.signal);
  }

  runChild(request: ChildRequest): Promise<ChildRun> {
    this.#visit.leave();
    const { path, signal, timeoutMs } = this;
    const { children } = this.#run;
    if (children === undefined) {
      throw new Error("this run begins no executions");
    }
    return children.run({ path, attempt: this.#visit.attempts }, request, { timeoutMs, signal });
  }

  work<Result>(piece: () => Promise<Result>): Promise<Result> {
    this.#visit.enter();
    return this.#run.journal.work(piece, this.signal);
  }

  openTimeout(): NodeTimeout {
    return openTimeout(this.#run.clock, this.#step.timeoutMs, this.signal);
  }

  async connect(slug: string | undefined): Promise<ApiAccess> {
    const access = new ApiAccess(await this.#run.connections.open(slug));
    this.#useSecrets(access.secrets);
    return access;
  }

  async readVariables(names: readonly string[]): Promise<UsedVariables> {
    const used = new UsedVariables(names, await this.#run.variables.read(names));
    this.#useSecrets(used.secrets);
    this.#visit.scope.variables = used.values;
    return used;
  }

  /** From now on nothing that the node gives holds these texts. */
  #useSecrets(secrets: Iterable<string>): void {
    this.#visit.redactor ??= new Redactor();
    this.#visit.redactor.add(secrets);
  }

  redact(text: string): string {
    return this.#visit.redactor?.text(text) ?? text;
  }

  send(request: LeafRequest): Promise<HttpAnswer> {
    const sender = this.#sender ?? new RequestSender(this.#step, this.#visit);
    this.#sender = sender;
    this.#visit.sent ??= (isSecret) => this.#sender?.shown(isSecret);
    return sender.send(request);
  }
}

/** Waits for an output, and gives the failure of a node as a value. */
async function settled(made: unknown): Promise<unknown> {
  try {
    return await made;
  } catch (error) {
    return asFailure(error);
  }
}

/** The failure of a node as a value. Anything else is thrown. */
function asFailure(error: unknown): NodeFailure {
  if (error instanceof NodeFailure) {
    return error;
  }
  throw error;
}
