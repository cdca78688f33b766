import type { GenEnum } from "@bufbuild/protobuf/codegenv2";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { didYouMean } from "../../domain/nearest.ts";
import {
  Execution_SourceSchema as SourceSchema,
  Execution_StateSchema as StateSchema,
  Execution_TypeSchema as TypeSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";
import type { Context } from "../command/context.ts";
import type { Arguments } from "../command-line/arguments.ts";
import { usageError } from "../output/cli-error.ts";

/** Builds the filter from options alone: a profile's account would hide executions unnoticed. */
export function filterOf(given: Arguments, { settings }: Context) {
  const [workflow, linkedAccountId, tag] = [given.text("workflow"), given.text("account"), given.text("tag")];
  const [source, type] = [given.text("source"), given.text("type")];
  const [errorReason, errorNodeId, idPrefix] = [given.text("reason"), given.text("node"), given.text("id")];
  const states = [...new Set(given.texts("state"))];
  const parentExecutionId = given.text("parent");
  const [since, before] = [given.text("since"), given.text("before")];
  const slug = workflow === undefined ? given.text("slug") : settings.slug;
  return {
    ...(workflow !== undefined && { workflow }),
    ...(slug !== undefined && { slug }),
    ...(linkedAccountId !== undefined && { linkedAccountId }),
    ...(tag !== undefined && { tag }),
    ...(states.length > 0 && { states: states.map((state) => numberOf(StateSchema, "state", state)) }),
    ...(errorReason !== undefined && { errorReason }),
    ...(errorNodeId !== undefined && { errorNodeId }),
    ...(idPrefix !== undefined && { idPrefix }),
    ...(parentExecutionId !== undefined && { parentExecutionId }),
    ...(source !== undefined && { source: numberOf(SourceSchema, "source", source) }),
    ...(type !== undefined && { type: numberOf(TypeSchema, "type", type) }),
    ...(since !== undefined && { createdSince: momentOf(since) }),
    ...(before !== undefined && { createdBefore: momentOf(before) }),
  };
}

/** The names of an enum that an option accepts. */
export function wordsOf<T extends number>(words: GenEnum<T>): readonly string[] {
  return words.values.filter(isWord).map(({ name }) => name);
}

/** Sources that no execution has yet. */
const unused: ReadonlySet<string> = new Set(["BATCH"]);

function isWord({ number, name }: { readonly number: number; readonly name: string }): boolean {
  return number !== 0 && !unused.has(name);
}

/** The number of an enum's value by its name, in any letter case. */
function numberOf<T extends number>(words: GenEnum<T>, option: string, text: string): T {
  const known = words.values.filter(isWord);
  const found = known.find(({ name }) => name === text.toUpperCase());
  // The generated descriptor of an enum knows its values as numbers.
  if (found !== undefined) {
    return found.number as T;
  }
  const names = known.map(({ name }) => name);
  throw usageError(`--${option} must be one of ${names.join(", ")}, not ${text}.${didYouMean(text, names)}`);
}

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function momentOf(text: string): Timestamp {
  const [, count, unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = count === undefined ? Date.parse(text) : Date.now() - Number(count) * (unitMs[unit] ?? 0);
  if (Number.isNaN(ms) || (count === undefined && !/^\d{4}-/.test(text))) {
    throw usageError(
      `${JSON.stringify(text)} is not a time. Give one like 2026-01-31T12:00:00Z, or 90m, 12h or 7d ago.`,
    );
  }
  return timestampFromDate(new Date(ms));
}
