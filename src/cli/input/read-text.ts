import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { didYouMean } from "../../domain/nearest.ts";
import { CliError, usageError } from "../output/cli-error.ts";

/** The largest file that is read, in bytes: four times a server's default limit of a definition or a payload. */
export const fileBytesMax = 4 * 1_024 * 1_024;

/** Reads a text file. Throws CliError if it is missing, not a regular file, too large, or not UTF-8. */
export async function readText(path: string): Promise<string> {
  try {
    const found = await stat(path);
    // Reading a named pipe could wait forever. A shell's own pipes (`<(…)`) are in /dev and /proc.
    const isOfShell = /^\/(?:dev|proc)\//.test(resolve(path));
    if (!found.isFile() && !found.isDirectory() && !isOfShell) {
      throw usageError(`${path} is a pipe, a socket or a device; name a file.`);
    }
    if (found.size > fileBytesMax) {
      throw new CliError(`${path} ${tooLarge(mib(found.size))}.`);
    }
    return textOf(await bytesOf(createReadStream(path), path), path);
  } catch (error) {
    if (error instanceof CliError) {
      throw error;
    }
    throw await unreadable(path, error);
  }
}

/** Reads stdin under the same rules as a file. */
export async function readStdin(stdin: NodeJS.ReadableStream): Promise<string> {
  return textOf(await bytesOf(stdin, "stdin"), "stdin");
}

/** Counts while it reads, since a pipe has no size and a file may grow. */
async function bytesOf(stream: NodeJS.ReadableStream, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > fileBytesMax) {
      throw new CliError(`${name} ${tooLarge(`more than ${mib(fileBytesMax)}`)}.`);
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** Decodes strict UTF-8: replacement characters would silently change what is sent. A byte order mark is allowed. */
function textOf(bytes: Buffer, name: string): string {
  const text = decoded(bytes, name);
  const end = text.indexOf("\0");
  if (end === -1) {
    return text;
  }
  throw new CliError(`${name} is not text: line ${text.slice(0, end).split("\n").length} has a NUL character.`);
}

function decoded(bytes: Buffer, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new CliError(`${name} ${notUtf8(bytes)}`);
  }
}

function notUtf8(bytes: Buffer): string {
  const [first, second] = bytes;
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (isUtf16) {
    return "is UTF-16, not UTF-8. Save it as UTF-8.";
  }
  return `is not UTF-8: line ${lineOf(bytes)} has an invalid byte. Save it as UTF-8.`;
}

/** The line of the first invalid byte: the first line that is no longer the same after decoding. */
function lineOf(bytes: Buffer): number {
  const text = new TextDecoder("utf-8").decode(bytes);
  let offset = 0;
  for (const [index, line] of text.split("\n").entries()) {
    const length = Buffer.byteLength(line);
    if (!bytes.subarray(offset, offset + length).equals(Buffer.from(line))) {
      return index + 1;
    }
    offset += length + 1;
  }
  return 1;
}

function tooLarge(size: string): string {
  return `has ${size}, and the command line reads at most ${mib(fileBytesMax)}`;
}

function mib(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1).replace(/\.0$/, "")} MiB`;
}

/** The error for a path that cannot be read, with a suggestion from the names beside it. */
export async function unreadable(path: string, cause: unknown): Promise<CliError> {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "EISDIR") {
    return usageError(`${path} is a folder; name a file.`);
  }
  if (code !== "ENOENT") {
    return new CliError(`${path} cannot be read.`, { cause });
  }
  const full = resolve(path);
  const beside = await readdir(dirname(full)).catch(() => undefined);
  if (beside?.includes(basename(full)) === true) {
    return new CliError(`${path} is a link that leads nowhere.`);
  }
  if (beside === undefined) {
    return new CliError(`There is no ${path}, and no folder ${dirname(full)}.`);
  }
  return new CliError(`There is no ${path} in ${dirname(full)}.${didYouMean(basename(full), beside)}`);
}
