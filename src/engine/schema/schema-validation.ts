import type { JsonValue } from "@bufbuild/protobuf";
import { jsonPath } from "../../domain/json/json-refusal.ts";
import { violationsMax } from "../../domain/json/violations.ts";
import type { FieldViolation } from "../../domain/request-error.ts";

/** A compiled schema. Its checks are added after it is made, because schemas may refer to themselves. */
export type Schema = {
  readonly checks: Check[];
  /** The in-place applicators: schemas that apply to the same value. */
  readonly inPlace: Schema[];
};

/** Checks a value against one keyword, and reports a violation to the validation. */
export type Check = (value: JsonValue, at: SchemaEvaluation) => boolean;

/** The path to a value, as a linked list from the innermost step outwards. */
type Path = { readonly step: string | number; readonly outer: Path } | undefined;

/**
 * The budget of work for one validation, so that no schema can block the process. Each keyword is charged for what it reads: a
 * unit for each name, member or item, and for each few characters of a text; for a pattern, the length of the text times the
 * size of the compiled expression. A unit takes 60 ns at most, so the whole budget takes less than a second.
 */
export const workMax = 10_000_000;

const workOfSchema = 5;

/** The limit of schemas that are applied inside one another: more could overflow the stack. */
export const nestedMax = 1_000;

/** A validation exceeded its budget of work or the limit of nesting. */
export class SchemaExhausted extends Error {
  readonly limit: "schema_work" | "schema_nesting";

  constructor(limit: SchemaExhausted["limit"]) {
    super(limit);
    this.limit = limit;
  }
}

/** Makes the message of a violation, only where it is reported. */
export type Describe = () => string;

/** The validation of one value, with its budget and its violations. */
export class SchemaValidation {
  /** The first few violations, in the order of the schema. */
  readonly violations: FieldViolation[] = [];
  readonly #name: string;
  readonly #workMax: number;
  #count = 0;
  #work = 0;
  #nested = 0;
  #trials = 0;

  /**
   * @param name the beginning of all paths
   * @param budget the units of work, at most `workMax`
   */
  constructor(name: string, budget: number) {
    this.#name = name;
    this.#workMax = Math.min(budget, workMax);
  }

  /** The work so far. */
  get work(): number {
    return this.#work;
  }

  /** The number of violations, those that are not kept included. */
  get count(): number {
    return this.#count;
  }

  /** Whether violations are not reported, because another schema may match. */
  get isTrial(): boolean {
    return this.#trials > 0;
  }

  spend(work: number): void {
    this.#work += work;
    if (this.#work > this.#workMax) {
      throw new SchemaExhausted("schema_work");
    }
  }

  apply({ checks }: Schema, value: JsonValue, at: SchemaEvaluation): boolean {
    this.spend(workOfSchema + checks.length);
    if (++this.#nested > nestedMax) {
      throw new SchemaExhausted("schema_nesting");
    }
    let isValid = true;
    for (const check of checks) {
      isValid = check(value, at) && isValid;
      if (!isValid && this.isTrial) {
        break;
      }
    }
    this.#nested -= 1;
    return isValid;
  }

  /** Applies a schema without reporting its violations. */
  test(schema: Schema, value: JsonValue, at: SchemaEvaluation): boolean {
    this.#trials += 1;
    const isValid = this.apply(schema, value, at);
    this.#trials -= 1;
    return isValid;
  }

  report(path: Path, keyword: string, describe: Describe): false {
    if (this.isTrial) {
      return false;
    }
    this.#count += 1;
    if (this.violations.length < violationsMax) {
      const steps: (string | number)[] = [];
      for (let at = path; at !== undefined; at = at.outer) {
        steps.unshift(shortStep(at.step));
      }
      this.violations.push({ field: jsonPath(this.#name, steps), description: describe(), rule: `schema.${keyword}` });
    }
    return false;
  }
}

/**
 * The evaluation of one schema at one value. It collects which members and items were evaluated, as JSON Schema's annotations
 * do, for `unevaluatedProperties` and `unevaluatedItems`.
 */
export class SchemaEvaluation {
  readonly run: SchemaValidation;
  readonly #path: Path;
  #evaluated: Set<string | number> | undefined;

  constructor(run: SchemaValidation, path?: Path) {
    this.run = run;
    this.#path = path;
  }

  violation(keyword: string, describe: Describe): false {
    return this.run.report(this.#path, keyword, describe);
  }

  /** The names or indexes that were evaluated so far. */
  get evaluated(): ReadonlySet<string | number> {
    this.run.spend(this.#evaluated?.size ?? 0);
    return new Set(this.#evaluated);
  }

  markEvaluated(step: string | number): void {
    this.#evaluated ??= new Set();
    this.#evaluated.add(step);
  }

  /** Applies a schema to a member or an item of the value. */
  applyToChild(schema: Schema, value: JsonValue, step: string | number): boolean {
    this.markEvaluated(step);
    return this.run.apply(schema, value, new SchemaEvaluation(this.run, { step, outer: this.#path }));
  }

  /** Applies a schema to the value itself. If it matches, what it has evaluated counts here too. */
  applyInPlace(schema: Schema, value: JsonValue): boolean {
    const inner = new SchemaEvaluation(this.run, this.#path);
    return this.run.apply(schema, value, inner) && this.#adoptEvaluated(inner);
  }

  /** The same, without reporting violations. */
  testInPlace(schema: Schema, value: JsonValue): boolean {
    const inner = new SchemaEvaluation(this.run, this.#path);
    return this.run.test(schema, value, inner) && this.#adoptEvaluated(inner);
  }

  #adoptEvaluated(inner: SchemaEvaluation): true {
    this.run.spend(inner.#evaluated?.size ?? 0);
    for (const step of inner.#evaluated ?? []) {
      this.markEvaluated(step);
    }
    return true;
  }

  /** Whether a schema matches a member, an item or a name. It reports no violations. */
  matches(schema: Schema, value: JsonValue): boolean {
    return this.run.test(schema, value, new SchemaEvaluation(this.run));
  }
}

/** Shortens the name of a member, which may be as long as the payload and is repeated in each violation. */
function shortStep(step: string | number): string | number {
  return typeof step === "string" ? shortText(step) : step;
}

/** Shortens a text of the author or the caller for a message. */
export function shortText(text: string): string {
  return text.length > shownMax ? `${text.slice(0, shownMax).toWellFormed()}…` : text;
}

const shownMax = 200;
