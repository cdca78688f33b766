import { usageError } from "../output/cli-error.ts";

/** The positional words and the options of one command line. Only those that its command declares are here. */
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

  /** A required positional word. */
  word(index: number): string {
    return this.positionals[index] ?? "";
  }

  /** The whole number of an option. Throws a usage error for anything else. */
  number(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) {
      return undefined;
    }
    if (!/^\d{1,9}$/.test(text)) {
      throw usageError(`--${name} must be a whole number, not ${JSON.stringify(text)}.`);
    }
    return Number(text);
  }
}
