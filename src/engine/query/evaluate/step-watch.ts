import { QueryError } from "../functions/query-error.ts";
import { textFactor } from "./bind-values.ts";

/** Asked behind each step of one evaluation. Throws where it must not go on. */
export interface StepWatch {
  /** @param node the step in JSONata's syntax tree */
  leaveStep(node: object, result: unknown): void;
  /** Ends what still goes on side by side with a part that failed. */
  stop(): void;
}

/**
 * The work of one evaluation in line, about two milliseconds of it: a unit for each step, and for the values that it gives
 * by their size. It is a count, so that a query runs in the same place each time, however busy the process is.
 */
const workMax = 2_500;

/** A step with the marks that `isCheap` leaves on it. */
type MarkedNode = object & {
  readonly isScalar?: boolean;
  readonly isProcedure?: boolean;
  readonly isPattern?: boolean;
};

/** Bounds an evaluation in line. Past its bounds it is begun again in the pool, which gives the same: queries are pure. */
export class InlineBudget implements StepWatch {
  /** Whether it was stopped because of the budget. */
  isSpent = false;
  #work = 0;
  #isStopped = false;
  #textLengthMax: number;

  /** @param dataLength the characters of all data: no text in it is longer */
  constructor(dataLength: number) {
    this.#textLengthMax = dataLength;
  }

  leaveStep(node: MarkedNode, result: unknown): void {
    this.#work += 1;
    if (typeof result === "string") this.#weighText(node, result.length);
    else if (typeof result === "object" && result !== null) this.#weigh(node, result);
    else if (typeof result === "function") this.isSpent ||= node.isProcedure !== true;
    if (this.#work > workMax) this.isSpent = true;
    if (this.isSpent || this.#isStopped) throw new QueryError("The query was stopped.");
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** A text is searched for another in time that grows with the product of both lengths. */
  #weighText({ isPattern }: MarkedNode, length: number): void {
    this.#work += length >> 6;
    if (isPattern) this.#work += Math.floor((length * this.#textLengthMax) / 1_024);
    this.#textLengthMax = Math.max(this.#textLengthMax, length);
  }

  #weigh(node: MarkedNode, result: object): void {
    const { isScalar, isProcedure } = node;
    if (isProcedure) return;
    if (Array.isArray(result)) {
      // JSONata takes a sequence of one value for that value.
      if (typeof result[0] === "string") this.#weighText(node, result[0].length);
      if (isScalar && (result.length > 1 || typeof result[0] === "object")) this.isSpent = true;
      this.#work += itemsIn(result, workMax) >> 2;
    } else if (isScalar || "_jsonata_function" in result) {
      // A function that is no call's is an argument, or what a variable is before it is set.
      this.isSpent = true;
    }
  }
}

/** How many items an array has, those of arrays in it included; more than `max * 4` are not counted. */
function itemsIn(array: readonly unknown[], max: number): number {
  let count = 0;
  const waiting: (readonly unknown[])[] = [array];
  for (let next = waiting.pop(); next !== undefined && count <= max * 4; next = waiting.pop()) {
    count += next.length;
    if (count > max * 4) break;
    for (const item of next) if (Array.isArray(item)) waiting.push(item);
  }
  return count;
}

/** Bounds an evaluation in a process of its own: it may hold that until its time is over. */
export class Deadline implements StepWatch {
  readonly #budgetMs: number;
  readonly #textMax: number;
  readonly #startTime = performance.now();
  #isStopped = false;

  constructor({ queryMs, outputBytesMax }: { readonly queryMs: number; readonly outputBytesMax: number }) {
    this.#budgetMs = queryMs;
    this.#textMax = outputBytesMax * textFactor;
  }

  leaveStep(_node: object, result: unknown): void {
    if (typeof result === "string" && result.length > this.#textMax) {
      throw new QueryError(`The query made a text of more than ${this.#textMax} characters.`);
    }
    if (this.#isStopped) throw new QueryError("The query was stopped.");
    if (performance.now() - this.#startTime > this.#budgetMs) throw new QueryError(overdueText(this.#budgetMs));
  }

  stop(): void {
    this.#isStopped = true;
  }
}

/** What a query is told that took too long, whether it was ended from inside or with its process. */
export function overdueText(queryMs: number): string {
  return `The query ran for more than ${queryMs} ms (limit queryMs).`;
}
