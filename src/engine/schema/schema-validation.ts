import type { JsonValue } from "@bufbuild/protobuf";
import { jsonPath } from "../../domain/json/json-refusal.ts";
import { violationsMax } from "../../domain/json/violations.ts";
import type { FieldViolation } from "../../domain/request-error.ts";

/** A compiled schema. Its checks are filled in after it is made, since schemas may refer to themselves. */
export type Schema = {
  readonly checks: Check[];
  /** The schemas that are applied to the same value. */
  readonly inPlace: Schema[];
};

/** Whether a value passes one keyword. A breach is told to the run. */
export type Check = (value: JsonValue, at: Visit) => boolean;

/** The way to a value, from the innermost step outwards. */
type Path = { readonly step: string | number; readonly outer: Path } | undefined;

/**
 * How much work one validation may be, so that no schema can hold the process up. Every keyword is charged by what it
 * goes through: a unit for each name, member or item, and for each few characters of a text; for patterns the length of
 * the text times the size of the compiled expression. A unit takes at most some 60 ns, and so all of it less than a second.
 */
export const workMax = 10_000_000;

const workOfSchema = 5;

/** Schemas that are applied inside one another: more would end in an overflow of the stack. */
export const nestedMax = 1_000;

/** A validation was too much work, or its schemas were applied too deep inside one another. */
export class SchemaExhausted extends Error {
  readonly limit: "schema_work" | "schema_nesting";

  constructor(limit: SchemaExhausted["limit"]) {
    super(limit);
    this.limit = limit;
  }
}

/** What a breach says; it is made only where the breach is told. */
export type Describe = () => string;

/** One validation of one value. */
export class SchemaRun {
  /** The first few breaches, in the order of the schema. */
  readonly violations: FieldViolation[] = [];
  readonly #name: string;
  readonly #workMax: number;
  #count = 0;
  #work = 0;
  #nested = 0;
  #trials = 0;

  /**
   * @param name what paths begin with
   * @param budget how much work it may be, at most `workMax`
   */
  constructor(name: string, budget: number) {
    this.#name = name;
    this.#workMax = Math.min(budget, workMax);
  }

  /** How much work it was until now. */
  get work(): number {
    return this.#work;
  }

  /** How many breaches there are, told or not. */
  get count(): number {
    return this.#count;
  }

  /** Whether breaches are of no interest, since another schema may do. */
  get isTrial(): boolean {
    return this.#trials > 0;
  }

  spend(work: number): void {
    this.#work += work;
    if (this.#work > this.#workMax) throw new SchemaExhausted("schema_work");
  }

  apply({ checks }: Schema, value: JsonValue, at: Visit): boolean {
    this.spend(workOfSchema + checks.length);
    if (++this.#nested > nestedMax) throw new SchemaExhausted("schema_nesting");
    let isValid = true;
    for (const check of checks) {
      isValid = check(value, at) && isValid;
      if (!isValid && this.isTrial) break;
    }
    this.#nested -= 1;
    return isValid;
  }

  /** Applies a schema that may fail without harm. */
  tryOut(schema: Schema, value: JsonValue, at: Visit): boolean {
    this.#trials += 1;
    const isValid = this.apply(schema, value, at);
    this.#trials -= 1;
    return isValid;
  }

  report(path: Path, keyword: string, describe: Describe): false {
    if (this.isTrial) return false;
    this.#count += 1;
    if (this.violations.length < violationsMax) {
      const steps: (string | number)[] = [];
      for (let at = path; at !== undefined; at = at.outer) steps.unshift(shortStep(at.step));
      this.violations.push({ field: jsonPath(this.#name, steps), description: describe(), rule: `schema.${keyword}` });
    }
    return false;
  }
}

/** One schema at one value, with the members and items that it has looked at: what `unevaluated…` leaves out. */
export class Visit {
  readonly run: SchemaRun;
  readonly #path: Path;
  #seen: Set<string | number> | undefined;

  constructor(run: SchemaRun, path?: Path) {
    this.run = run;
    this.#path = path;
  }

  breach(keyword: string, describe: Describe): false {
    return this.run.report(this.#path, keyword, describe);
  }

  /** The names or the indexes that were looked at until now. */
  get seen(): ReadonlySet<string | number> {
    this.run.spend(this.#seen?.size ?? 0);
    return new Set(this.#seen);
  }

  see(step: string | number): void {
    this.#seen ??= new Set();
    this.#seen.add(step);
  }

  /** Applies a schema to a member or an item of the value. */
  descend(schema: Schema, value: JsonValue, step: string | number): boolean {
    this.see(step);
    return this.run.apply(schema, value, new Visit(this.run, { step, outer: this.#path }));
  }

  /** Applies a schema to the value itself. What it has looked at counts where it holds. */
  also(schema: Schema, value: JsonValue): boolean {
    const inner = new Visit(this.run, this.#path);
    return this.run.apply(schema, value, inner) && this.#takeOver(inner);
  }

  /** The same, and a breach is none of the value's. */
  maybe(schema: Schema, value: JsonValue): boolean {
    const inner = new Visit(this.run, this.#path);
    return this.run.tryOut(schema, value, inner) && this.#takeOver(inner);
  }

  #takeOver(inner: Visit): true {
    this.run.spend(inner.#seen?.size ?? 0);
    for (const step of inner.#seen ?? []) this.see(step);
    return true;
  }

  /** Whether an item or a member passes a schema, without a breach. */
  matches(schema: Schema, value: JsonValue): boolean {
    return this.run.tryOut(schema, value, new Visit(this.run));
  }
}

/** The name of a member may be as long as the payload, and its path is told for each breach in it. */
function shortStep(step: string | number): string | number {
  return typeof step === "string" ? shortText(step) : step;
}

/** A text of the author's or the caller's, for a message. */
export function shortText(text: string): string {
  return text.length > shownMax ? `${text.slice(0, shownMax).toWellFormed()}…` : text;
}

const shownMax = 200;
