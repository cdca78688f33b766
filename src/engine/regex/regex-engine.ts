import { RE2JS } from "re2js";
import { NodeFailure } from "../errors/node-failure.ts";
import { toRe2Syntax } from "./re2-syntax.ts";

/**
 * The limit for one match: the number of characters times the number of instructions of the program. A step takes about 10 ns.
 * It is checked before the match, because a match cannot be interrupted.
 */
const matchStepsMax = 50_000_000;

/** The limit for the instructions of one compiled expression. */
const programSizeMax = 2_000;

/**
 * Makes the class by which JSONata matches regular expressions, safe from ReDoS: RE2 takes time linear in the text, whatever the
 * expression. One class serves one query, and compiles each expression once.
 *
 * @param budgetMs the time that one expression may match in all, because many linear matches can still be slow together
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
            `characters: that may take more than ${matchStepsMax} steps (limit match_steps). Match less, or simplify it.`,
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

  // JSONata constructs it with an expression, sets lastIndex and calls exec. It uses nothing else of RegExp.
  return LinearRegex as unknown as RegExpConstructor;
}

/** Compiles an expression for RE2. Throws an Error with a message for the author where RE2 cannot match it. */
export function compileRegex(regex: RegExp): RE2JS {
  const pattern = RE2JS.compile(toRe2Syntax(regex));
  if (pattern.programSize() > programSizeMax) {
    throw new Error(`the expression is too large (${pattern.programSize()} instructions of ${programSizeMax})`);
  }
  return pattern;
}
