import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** An output stream, such as stdout. */
export type Sink = {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly rows?: number;
  readonly columns?: number;
};

/** An input stream. */
export type Stdin = NodeJS.ReadableStream & { readonly isTTY?: boolean };

export type Format = "text" | "json" | "jsonl";

export type OutputOptions = {
  readonly format: Format;
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** NO_COLOR and TERM are read from here. */
  readonly environment: Readonly<Record<string, string | undefined>>;
};

/**
 * A column of a table. A column with `dropOrder` is left out where the terminal is too narrow; the lowest order goes first.
 */
export type Column<T> = readonly [title: string, text: (row: T) => string | undefined, dropOrder?: number];

/** Writes data to stdout in the chosen format, and everything else to stderr. */
export class Output {
  readonly format: Format;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly isColored: boolean;
  readonly #isErrorColored: boolean;

  constructor({ format, stdout, stderr, environment }: OutputOptions) {
    this.format = format;
    this.stdout = stdout;
    this.stderr = stderr;
    this.isColored = takesColor(stdout, environment);
    this.#isErrorColored = takesColor(stderr, environment);
  }

  /** Prints one value: `text` for people, `json` for programs. */
  value(json: JsonValue, text: string): void {
    this.#line(this.format === "text" ? text : this.#json(json));
  }

  /** Prints a list: a table for people. */
  table<T extends JsonObject>(rows: readonly T[], columns: readonly Column<T>[]): void {
    if (this.format === "json") {
      this.#line(this.#json(rows));
    } else if (this.format === "jsonl") {
      for (const row of rows) {
        this.#line(this.#json(row));
      }
    } else if (rows.length > 0) {
      this.#line(this.#paintedTable(rows, columns));
    }
  }

  /** Prints items as they arrive. */
  async stream<T>(items: AsyncIterable<T>, json: (item: T) => JsonValue, text: (item: T) => string): Promise<void> {
    let count = 0;
    for await (const item of items) {
      const before = this.format !== "json" ? "" : count === 0 ? "[\n" : ",\n";
      const line = this.format === "text" ? this.paint(text(item)) : JSON.stringify(json(item));
      this.stdout.write(`${before}${line}${this.format === "json" ? "" : "\n"}`);
      count += 1;
    }
    if (this.format === "json") {
      this.stdout.write(count === 0 ? "[]\n" : "\n]\n");
    }
  }

  /** Prints a text that only people read, to stderr. */
  note(text: string): void {
    this.stderr.write(`${this.#isErrorColored ? painted(text) : text}\n`);
  }

  /** Colours the words for success and failure, if stdout shows colours. */
  paint(text: string): string {
    return this.isColored ? painted(text) : text;
  }

  #paintedTable<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
    const { isTTY, columns: width } = this.stdout;
    const droppable = columns
      .filter(([, , order]) => order !== undefined)
      .sort(([, , one], [, , other]) => (one ?? 0) - (other ?? 0));
    let kept = columns;
    for (const column of droppable) {
      if (isTTY === true && width !== undefined && widthOf(tableOf(rows, kept)) > width) {
        kept = kept.filter((one) => one !== column);
      }
    }
    const dropped = columns.filter((column) => !kept.includes(column)).map(([title]) => title);
    if (dropped.length > 0) {
      this.note(`The terminal has no room for ${dropped.join(", ")}; -o json shows all.`);
    }
    return this.paint(tableOf(rows, kept));
  }

  #json(json: JsonValue | readonly JsonValue[]): string {
    return this.format === "json" ? JSON.stringify(json, undefined, 2) : JSON.stringify(json);
  }

  #line(text: string): void {
    if (text !== "") {
      this.stdout.write(`${text}\n`);
    }
  }
}

/** Whether the stream shows colours: a terminal, without NO_COLOR (https://no-color.org) and TERM=dumb. */
export function takesColor(sink: Sink, environment: Readonly<Record<string, string | undefined>>): boolean {
  return sink.isTTY === true && !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
}

const words = {
  32: /(?<=^|\s)(?:SUCCESS|COMPLETED)(?=\s|$)|^ok(?= )/gm,
  31: /(?<=^|\s)(?:ERRORED|TIMED_OUT|STOPPED|FAILED)(?=\s|$)|(?<=^|: )error(?=: )/gm,
  33: /(?<=^|\s)(?:ERRORED_AND_SKIPPED|WAITING|RUNNING)(?=\s|$)|(?<=: )warning(?=: )/gm,
} as const;

/** Colours the words for success, failure and waiting. */
export function painted(text: string): string {
  return Object.entries(words).reduce(
    (line, [color, pattern]) => line.replace(pattern, (word) => `\x1b[${color}m${word}\x1b[0m`),
    text,
  );
}

function widthOf(text: string): number {
  return Math.max(...text.split("\n").map((line) => line.length));
}

/** Escapes control characters: text from elsewhere must not send escape sequences to the terminal (CWE-150). */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (letter) => JSON.stringify(letter).slice(1, -1));
}

/** Aligns columns to their widest cell. No cell is ever cut. */
export function tableOf<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const cells = rows.map((row) => columns.map(([, text]) => printable(text(row) ?? "")));
  const lines = [columns.map(([title]) => title), ...cells];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
