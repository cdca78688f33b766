import { RE2JS } from "re2js";
import { NodeFailure } from "../errors/node-failure.ts";
import { toRe2Syntax } from "./re2-syntax.ts";

/**
 * Steps of one match: the characters that it may read times the instructions of the expression, which a step may each
 * take some 10 ns for. It is asked before the match, since nothing can stop one.
 */
const matchStepsMax = 50_000_000;

/** Instructions of one compiled expression: its size times the text's length bounds the work of one match. */
const programSizeMax = 2_000;

/**
 * Makes the class that JSONata builds its regular expressions with: matching takes time linear in the text, whatever
 * the expression. One class serves one query, and compiles each expression once.
 *
 * @param budgetMs how long one expression may match in all; many linear matches can still make a slow sum
 */
export function createRegexEngine(budgetMs: number): RegExpConstructor {
  const compiled = new WeakMap<RegExp, RE2JS>();

  class LinearRegex {
    lastIndex = 0;
    readonly #pattern: RE2JS;
    #spentMs = 0;

    constructor(regex: RegExp) {
      const pattern = compiled.get(regex) ?? compileRegex(regex);
      compiled.set(regex, pattern);
      this.#pattern = pattern;
    }

    exec(text: string): (string | undefined)[] | null {
      const steps = Math.max(0, text.length - this.lastIndex) * this.#pattern.programSize();
      if (steps > matchStepsMax) {
        throw new NodeFailure(
          "EXPRESSION_ERROR",
          `A regular expression of ${this.#pattern.programSize()} instructions cannot be matched with ${text.length} ` +
            `characters: that may take more than ${matchStepsMax} steps (limit match_steps). Match less, or write it simpler.`,
        );
      }
      const start = performance.now();
      const matcher = this.#pattern.matcher(text);
      const isFound = this.lastIndex <= text.length && matcher.find(this.lastIndex);
      this.#spentMs += performance.now() - start;
      if (this.#spentMs > budgetMs) {
        throw new NodeFailure("EXPRESSION_ERROR", `A regular expression matched for more than ${budgetMs} ms.`);
      }
      if (!isFound) {
        this.lastIndex = 0;
        return null;
      }
      this.lastIndex = matcher.end();
      const groups = Array.from({ length: matcher.groupCount() + 1 }, (_, index) => matcher.group(index) ?? undefined);
      return Object.assign(groups, { index: matcher.start() });
    }
  }

  // JSONata constructs it with an expression, sets lastIndex and calls exec, and uses nothing else of RegExp.
  return LinearRegex as unknown as RegExpConstructor;
}

/** Throws an Error with a message for people where RE2 cannot match the expression. */
export function compileRegex(regex: RegExp): RE2JS {
  const pattern = RE2JS.compile(toRe2Syntax(regex));
  if (pattern.programSize() > programSizeMax) {
    throw new Error(`the expression is too large (${pattern.programSize()} instructions of ${programSizeMax})`);
  }
  return pattern;
}
