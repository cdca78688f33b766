import { open, readdir } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { buffer } from "node:stream/consumers";
import { meant } from "../../domain/nearest.ts";
import { CliError, usageError } from "./cli-error.ts";

/** The largest file that is read, in bytes: four times what a server takes of a definition or a payload by default. */
export const fileBytesMax = 4 * 1_024 * 1_024;

/** A file's text. Throws CliError for one that is not there, is too large or is no UTF-8. */
export async function readText(path: string): Promise<string> {
  const handle = await open(path).catch(async (cause: unknown) => {
    throw await unreadable(path, cause);
  });
  try {
    const { size } = await handle.stat();
    if (size > fileBytesMax) throw new CliError(`${path} ${tooLarge(size)}.`);
    return textOf(await handle.readFile(), path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw await unreadable(path, error);
  } finally {
    await handle.close();
  }
}

/** What came from stdin, under the rules of files. */
export async function readStdin(stdin: NodeJS.ReadableStream): Promise<string> {
  return textOf(await buffer(stdin), "stdin");
}

/** Strict UTF-8: what cannot be read as it was meant is not sent as something else. A byte order mark is taken. */
function textOf(bytes: Buffer, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new CliError(`${name} ${notUtf8(bytes)}`);
  }
}

function notUtf8(bytes: Buffer): string {
  const [first, second] = bytes;
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (isUtf16) return "is UTF-16, not UTF-8. Save it as UTF-8.";
  return `is not UTF-8: line ${lineOf(bytes)} has a byte that UTF-8 does not know. Save it as UTF-8.`;
}

/** The line that the first wrong byte is in, which is the last one of the longest text that decodes. */
function lineOf(bytes: Buffer): number {
  const text = new TextDecoder("utf-8").decode(bytes);
  let offset = 0;
  for (const [index, line] of text.split("\n").entries()) {
    const length = Buffer.byteLength(line);
    if (!bytes.subarray(offset, offset + length).equals(Buffer.from(line))) return index + 1;
    offset += length + 1;
  }
  return 1;
}

function tooLarge(size: number): string {
  return `has ${(size / 1_048_576).toFixed(1)} MiB, and the command line reads at most ${fileBytesMax / 1_048_576} MiB`;
}

/** A path that cannot be read, with the names beside it that may have been meant. */
export async function unreadable(path: string, cause: unknown): Promise<CliError> {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "EISDIR") return usageError(`${path} is a folder; name a file.`);
  if (code !== "ENOENT") return new CliError(`${path} cannot be read.`, { cause });
  const full = resolve(path);
  const beside = await readdir(dirname(full)).catch(() => undefined);
  if (beside === undefined) return new CliError(`There is no ${path}, and no folder ${dirname(full)}.`);
  return new CliError(`There is no ${path} in ${dirname(full)}.${meant(basename(full), beside)}`);
}
