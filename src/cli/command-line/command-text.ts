/** One option, and its help text. */
export type Option = {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly multiple?: true;
  /** The placeholder of the value in help texts. */
  readonly value?: string;
  /** The values that shell completion offers. */
  readonly choices?: readonly string[];
  readonly help: string;
};

export type Options = Readonly<Record<string, Option>>;

/** A program: its name, the options that all its commands take, and its version. */
export type Program = { readonly name: string; readonly options: Options; readonly version?: string };

/** The help text of a command, from which its arguments are parsed too. */
export type CommandText = {
  /** The words that name it, as `workflow push`. */
  readonly name: string;
  readonly summary: string;
  /** The words after the name: `ID` is required, `ID?` is optional, `ID...` may repeat, `ID...?` is both. */
  readonly positionals: readonly string[];
  readonly options: Options;
  readonly example: string;
  /** The values of `--output`; text, json and jsonl if absent. */
  readonly formats?: readonly string[];
};

/** Commands that stand under one title in help. */
export type CommandGroup<Named extends CommandText> = { readonly title: string; readonly commands: readonly Named[] };

export const commonFormats: readonly string[] = ["text", "json", "jsonl"];
