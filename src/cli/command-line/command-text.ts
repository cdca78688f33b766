/** One option of a command line, and as a person is told of it. */
export type Option = {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly multiple?: true;
  /** What stands for the value in a usage text. */
  readonly value?: string;
  /** What a shell completes the value by. */
  readonly choices?: readonly string[];
  readonly help: string;
};

export type Options = Readonly<Record<string, Option>>;

/** A command line: its name, what each of its commands takes, and its version. */
export type Program = { readonly name: string; readonly options: Options; readonly version?: string };

/** What a command is to the person who asks for help. */
export type CommandText = {
  /** The words that name it, as `workflow push`. */
  readonly name: string;
  readonly summary: string;
  /** Its words after the name: `ID`, `ID?` where it may be left out, `ID...` where it may repeat, or `ID...?`. */
  readonly positionals: readonly string[];
  readonly options: Options;
  readonly example: string;
  /** The values of `--output` that it takes; the common three if absent. */
  readonly formats?: readonly string[];
};

/** Commands that belong together in a help text. */
export type CommandGroup<Named extends CommandText> = { readonly title: string; readonly commands: readonly Named[] };

export const commonFormats: readonly string[] = ["text", "json", "jsonl"];
