import type { JsonValue } from "@bufbuild/protobuf";
import jsonata from "jsonata";
import type { Limits } from "../../domain/limits.ts";
import { NodeFailure } from "../failure.ts";
import type { Field } from "../templates/field.ts";
import { bindTemplates, type Variable } from "../templates/query-text.ts";
import type { Scope } from "../templates/reference.ts";
import { type TextFailure, Texts } from "../templates/texts.ts";
import { checkData } from "./check-data.ts";
import { QueryError, type QueryVisit, registerFunctions, visitFunctions } from "./functions.ts";
import { prepareAst } from "./prepare-ast.ts";
import { createRegexEngine } from "./regex-engine.ts";
import { Turns } from "./turns.ts";

/** A compiled JSONata query. It keeps nothing of a run, so many may run it at once. */
type Query = {
  /** Fails with EXPRESSION_ERROR; rejects with the signal's reason when that aborts first. */
  run(input: JsonValue, scope: Scope, visit: QueryVisit, signal: AbortSignal): Promise<unknown>;
};

/**
 * How deep a query may nest while it runs. JSONata counts the members of an object that it builds side by side, so this
 * is far above what recursion needs: grouping into `keysMax` members must pass.
 */
const stackMax = 100_000;

/** A regular expression matches without pause, and the process does nothing else meanwhile. */
const regexMsMax = 1_000;

/** The names under which a query's own functions find its hook and its watch. No query can write a blank in a name. */
const watchName = " watch";
const exitHook = Symbol.for("jsonata.__evaluate_exit");

/** Texts in a query may be this many times as long as an output: a step can double one, and the next would again. */
const textFactor = 4;

/** Compiles queries for one graph, which share their turns. */
export class QueryCompiler {
  readonly #limits: Limits;
  readonly #turns = new Turns();
  readonly #checked = new WeakSet<object>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  compile(text: string, field: Field): Query {
    const { query, variables } = bindTemplates(text, field);
    const messageOf = (error: unknown) => withTemplates(queryMessage(error), variables);
    let expression: jsonata.Expression | undefined;
    try {
      expression = this.#parse(query);
    } catch (error) {
      field.error("EXPRESSION_INVALID", `This is not a JSONata query that can run: ${messageOf(error)}.`);
    }
    return {
      run: async (input, scope, visit, signal) => {
        const watch = new Watch(this.#turns, this.#limits, signal);
        const bindings = { ...visitFunctions(visit), ...this.#bind(variables, scope), [watchName]: watch };
        checkData(input, this.#checked);
        await watch.start();
        try {
          return await expression?.evaluate(input, bindings);
        } catch (error) {
          signal.throwIfAborted();
          throw error instanceof NodeFailure ? error : queryFailure(messageOf(error));
        } finally {
          await watch.stop();
        }
      },
    };
  }

  #parse(query: string): jsonata.Expression {
    const expression = jsonata(query, {
      stack: stackMax,
      sequence: this.#limits.output.valuesMax,
      RegexEngine: createRegexEngine(Math.min(this.#limits.queryMs, regexMsMax)),
    });
    prepareAst(expression.ast());
    registerFunctions(expression, this.#limits.output.bytesMax);
    // JSONata calls this behind each step of an evaluation. Its types know text names only.
    expression.assign(exitHook as unknown as string, leaveStep);
    return expression;
  }

  #bind(variables: readonly Variable[], scope: Scope): Record<string, JsonValue> {
    const bindings: Record<string, JsonValue> = {};
    const texts = new Texts(this.#limits.output.bytesMax * textFactor, textsTooLarge);
    for (const { name, reference, form } of variables) {
      const value = scope.read(reference);
      const bound = form === "text" ? texts.takeValue(value) : (value ?? null);
      checkData(bound, this.#checked);
      bindings[name] = bound;
    }
    return bindings;
  }
}

/**
 * How many steps a query takes before others have a turn: about a millisecond. JSONata computes the members of an
 * object side by side, and a pause changes which of them comes first. It must come at the same step each time, or
 * `$random` would give its numbers to other members when the process is busy.
 */
const stepsPerTurn = 500;

/** Counts one evaluation's own time, ends it when that is used up, and lets others have a turn. */
class Watch {
  readonly #turns: Turns;
  readonly #budgetMs: number;
  readonly #textMax: number;
  readonly #signal: AbortSignal;
  #steps = 0;
  #spentMs = 0;
  #turnStart = 0;
  #isStopped = false;
  #pause: Promise<void> | undefined;

  constructor(turns: Turns, limits: Limits, signal: AbortSignal) {
    this.#turns = turns;
    this.#budgetMs = limits.queryMs;
    this.#textMax = limits.output.bytesMax * textFactor;
    this.#signal = signal;
  }

  async start(): Promise<void> {
    await this.#turns.take();
    this.#turnStart = performance.now();
  }

  /** Gives the turn back, which a pause that is under way must first have got again. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#pause;
    this.#turns.give();
  }

  /** What runs side by side pauses together, and ends together when one part fails. */
  leaveStep(result: unknown): Promise<void> | undefined {
    if (typeof result === "string" && result.length > this.#textMax) {
      throw new QueryError(`The query made a text of more than ${this.#textMax} characters.`);
    }
    this.#steps += 1;
    if (this.#pause === undefined && this.#steps % stepsPerTurn === 0) {
      this.#pause = this.#letOthersIn();
    }
    if (this.#pause !== undefined) {
      return this.#pause.then(() => this.#check());
    }
    this.#check();
    return undefined;
  }

  async #letOthersIn(): Promise<void> {
    this.#spentMs += performance.now() - this.#turnStart;
    this.#turns.give();
    // In every case all parts come to a halt before the first goes on.
    await new Promise((resolve) => setImmediate(resolve));
    await this.start();
    this.#pause = undefined;
  }

  #check(): void {
    if (this.#isStopped || this.#signal.aborted) {
      throw new QueryError("The query was stopped.");
    }
    if (this.#spentMs + performance.now() - this.#turnStart > this.#budgetMs) {
      throw new QueryError(`The query ran for more than ${this.#budgetMs} ms (limit queryMs).`);
    }
  }
}

function leaveStep(
  _expression: unknown,
  _input: unknown,
  environment: jsonata.Environment,
  result: unknown,
): Promise<void> | undefined {
  const watch: unknown = environment.lookup(watchName);
  return watch instanceof Watch ? watch.leaveStep(result) : undefined;
}

const textsTooLarge: TextFailure = (max) =>
  queryFailure(`The templates in its texts came out with more than ${max} characters.`);

function queryFailure(message: string): NodeFailure {
  return new NodeFailure("EXPRESSION_ERROR", `The query failed: ${message}`.slice(0, messageMax));
}

const messageMax = 1_000;

/** JSONata throws plain objects with a code and a message; an Error of JavaScript's own tells of its insides. */
function queryMessage(error: unknown): string {
  if (error instanceof QueryError || (error instanceof Error && !(error instanceof TypeError))) {
    return error.message;
  }
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
    return String(error.message);
  }
  return "its expression cannot be evaluated";
}

/** Says what the author wrote in place of the variables that stand for it, in one pass over a message of bounded length. */
function withTemplates(message: string, variables: readonly Variable[]): string {
  const references = new Map(variables.map(({ name, reference }) => [name, reference.text]));
  return message.slice(0, messageMax).replaceAll(/\$?(template_*\d+)/g, (found, name: string) => {
    const text = references.get(name);
    return text === undefined ? found : `{{${text}}}`;
  });
}
