import { usageError } from "../output/cli-error.ts";

/** What was given to a command: its words and its options, each of which the command declares. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(positionals: readonly string[], values: ReadonlyMap<string, unknown>) {
    this.positionals = positionals;
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === "string" ? value : undefined;
  }

  texts(name: string): readonly string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? value : [];
  }

  isSet(name: string): boolean {
    return this.#values.get(name) === true;
  }

  /** A word that the command declares as one that cannot be left out. */
  word(index: number): string {
    return this.positionals[index] ?? "";
  }

  /** A whole number. Throws a usage error. */
  number(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (!/^\d{1,9}$/.test(text)) throw usageError(`--${name} must be a whole number, not ${JSON.stringify(text)}.`);
    return Number(text);
  }
}
