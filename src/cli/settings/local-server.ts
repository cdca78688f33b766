import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { dataDirDefault, keysFileIn, runningFileIn } from "../../setup/data-dir.ts";

/** A server on this machine that `flowcall dev` or `npm start` started, with the test key in its data folder. */
export type LocalServer = { readonly url: string; readonly key: string; readonly keysFile: string };

/** The address of a server with default settings. */
export const urlDefault = "http://127.0.0.1:4180";

const program = resolve(import.meta.dirname, "../../..");

/** Finds the server that was started in the working directory, or else the one started in the program's own folder. */
export async function findLocalServer(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<LocalServer | undefined> {
  const given = environment["FLOWCALL_DATA_DIR"];
  const isRoot = process.getuid?.() === 0;
  const folders = given
    ? [resolve(given)]
    : [process.cwd(), program].map((folder) => resolve(folder, dataDirDefault(folder, isRoot)));
  for (const dataDir of folders) {
    const keysFile = keysFileIn(dataDir);
    const key = await textIn(keysFile, "test");
    if (key !== undefined) {
      return { key, keysFile, url: (await runningUrl(dataDir)) ?? urlDefault };
    }
  }
  return undefined;
}

/** Only loopback addresses are taken: the folder may be another user's, and the key must not be sent elsewhere. */
async function runningUrl(dataDir: string): Promise<string | undefined> {
  const text = await textIn(runningFileIn(dataDir), "url");
  const url = text === undefined ? null : URL.parse(text);
  return url?.protocol === "http:" && /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(url.hostname)
    ? url.origin
    : undefined;
}

/** Undefined where the file is missing, unreadable, or holds something else. */
async function textIn(file: string, name: string): Promise<string | undefined> {
  try {
    const value: unknown = Object(JSON.parse(await readFile(file, "utf8")))[name];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}
