import { QueryError } from "../functions/query-error.ts";
import { textFactor } from "./bind-values.ts";

/** Is called after each step of one evaluation. Throws where the evaluation must not go on. */
export interface StepWatch {
  /** @param node the step in JSONata's syntax tree */
  leaveStep(node: object, result: unknown): void;
  /** Ends the parts that still run side by side with a part that failed. */
  stop(): void;
}

/**
 * The work of one evaluation on the thread, about two milliseconds: a unit for each step, and units for the size of its
 * result. The budget counts work and not time, so that a query runs in the same place each time, however busy the process is.
 */
const workMax = 2_500;

/** A step with the marks that `isCheap` sets on it. */
type MarkedNode = object & {
  readonly isScalar?: boolean;
  readonly isProcedure?: boolean;
  readonly isPattern?: boolean;
};

/** Bounds an evaluation on the thread. When it is used up, the query starts again in a child process: queries are pure. */
export class InlineBudget implements StepWatch {
  /** Whether the budget was used up. */
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
    if (typeof result === "string") {
      this.#chargeText(node, result.length);
    } else if (typeof result === "object" && result !== null) {
      this.#chargeObject(node, result);
    } else if (typeof result === "function") {
      this.isSpent ||= node.isProcedure !== true;
    }
    if (this.#work > workMax) {
      this.isSpent = true;
    }
    if (this.isSpent || this.#isStopped) {
      throw new QueryError("The query was stopped.");
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** The search for a pattern in a text takes time that grows with the product of both lengths. */
  #chargeText({ isPattern }: MarkedNode, length: number): void {
    this.#work += length >> 6;
    if (isPattern) {
      this.#work += Math.floor((length * this.#textLengthMax) / 1_024);
    }
    this.#textLengthMax = Math.max(this.#textLengthMax, length);
  }

  #chargeObject(node: MarkedNode, result: object): void {
    const { isScalar, isProcedure } = node;
    if (isProcedure) {
      return;
    }
    if (Array.isArray(result)) {
      // JSONata treats a sequence of one value as that value.
      if (typeof result[0] === "string") {
        this.#chargeText(node, result[0].length);
      }
      if (isScalar && (result.length > 1 || typeof result[0] === "object")) {
        this.isSpent = true;
      }
      this.#work += itemsIn(result, workMax) >> 2;
    } else if (isScalar || "_jsonata_function" in result) {
      // A function that no call names is an argument, or a variable that has not been assigned yet.
      this.isSpent = true;
    }
  }
}

/** Counts the items of an array with those of the arrays in it, up to `max * 4`. */
function itemsIn(array: readonly unknown[], max: number): number {
  let count = 0;
  const waiting: (readonly unknown[])[] = [array];
  for (let next = waiting.pop(); next !== undefined && count <= max * 4; next = waiting.pop()) {
    count += next.length;
    if (count > max * 4) {
      break;
    }
    for (const item of next) {
      if (Array.isArray(item)) {
        waiting.push(item);
      }
    }
  }
  return count;
}

/** Bounds an evaluation in a child process, which it may occupy until its time is up. */
export class QueryDeadline implements StepWatch {
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
    if (this.#isStopped) {
      throw new QueryError("The query was stopped.");
    }
    if (performance.now() - this.#startTime > this.#budgetMs) {
      throw new QueryError(overdueMessage(this.#budgetMs));
    }
  }

  stop(): void {
    this.#isStopped = true;
  }
}

/** The message for a query that took too long, whether its watch or the death of its process ended it. */
export function overdueMessage(queryMs: number): string {
  return `The query ran for more than ${queryMs} ms (limit queryMs).`;
}
