import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import type { Arguments } from "./arguments.ts";
import { CliError, usageError } from "./cli-error.ts";
import { accountOption, type Command, slugOption } from "./command.ts";
import type { Context } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { meant } from "./nearest.ts";
import type { Profile, ProfileStore } from "./profile-store.ts";
import { originOf, urlDefault } from "./settings.ts";

export const profileAdd: Command = {
  name: "profile add",
  summary: "Remembers a server and a key; the first profile is the current one.",
  positionals: ["NAME"],
  options: {
    "key-file": {
      type: "string",
      value: "FILE|-",
      help: "where the key is; FLOWCALL_API_KEY, or asked for, if absent",
    },
    ...accountOption,
    ...slugOption,
  },
  example:
    "flowcall profile add local --url http://127.0.0.1:4180 --account john@acme.io --slug asana --key-file test.key",

  async run(given, context) {
    const { environment, store, output } = context;
    const name = given.word(0);
    const url = originOf(given.text("url") ?? (environment["FLOWCALL_URL"] || urlDefault));
    const [account, slug] = [given.text("account"), given.text("slug")];
    store.keyFile(name);
    const key = await readKey(given, context);
    const profile = { url, ...(account !== undefined && { account }), ...(slug !== undefined && { slug }) };
    await saveProfile(store, name, profile, key);
    output.value({ name, ...profile }, `${name}  ${url}`);
    return exitCodes.done;
  },
};

export const profileUse: Command = {
  name: "profile use",
  summary: "Makes a profile the current one.",
  positionals: ["NAME"],
  options: {},
  example: "flowcall profile use local",

  async run(given, { store, output }) {
    const name = given.word(0);
    const { profiles } = await store.read();
    if (profiles[name] === undefined) throw unknownProfile(name, profiles);
    await store.write({ current: name, profiles });
    output.value({ name, ...profiles[name], current: true }, name);
    return exitCodes.done;
  },
};

export const profileLs: Command = {
  name: "profile ls",
  summary: "Lists the profiles; the current one has a *.",
  positionals: [],
  options: {},
  example: "flowcall profile ls",

  async run(_, { store, output }) {
    const { current, profiles } = await store.read();
    const rows = Object.entries(profiles).map(([name, profile]) => ({ name, ...profile, current: name === current }));
    output.table(rows, [
      ["", (row) => (row.current ? "*" : "")],
      ["NAME", (row) => row.name],
      ["URL", (row) => row.url],
      ["ACCOUNT", (row) => row.account],
      ["SLUG", (row) => row.slug],
    ]);
    return exitCodes.done;
  },
};

export const profileRm: Command = {
  name: "profile rm",
  summary: "Forgets a profile and its key.",
  positionals: ["NAME"],
  options: {},
  example: "flowcall profile rm local",

  async run(given, { store, output }) {
    const name = given.word(0);
    const { current, profiles } = await store.read();
    const { [name]: removed, ...rest } = profiles;
    if (removed === undefined) throw unknownProfile(name, profiles);
    await store.write({ ...(current !== undefined && current !== name && { current }), profiles: rest });
    await store.removeKey(name);
    output.value({ name, ...removed }, "");
    return exitCodes.done;
  },
};

/** Keeps a profile, and its key before it, so that no profile is without. */
export async function saveProfile(store: ProfileStore, name: string, profile: Profile, key: string): Promise<void> {
  await store.writeKey(name, key);
  const { current = name, profiles } = await store.read();
  await store.write({ current, profiles: { ...profiles, [name]: profile } });
}

function unknownProfile(name: string, profiles: Readonly<Record<string, Profile>>): CliError {
  return usageError(`There is no profile ${name}.${meant(name, Object.keys(profiles))} See: flowcall profile ls`);
}

/** A key is never a word of the command line, which every process of the machine can read. */
async function readKey(given: Arguments, { environment, stdin, output }: Context): Promise<string> {
  const file = given.text("key-file");
  const key = file === undefined ? environment["FLOWCALL_API_KEY"] : await keyIn(file, stdin);
  const told = key === undefined || key === "" ? await askForKey({ stdin, output }) : key;
  if (!/^[\x21-\x7e]+$/.test(told.trim())) throw usageError("A key is one line of visible ASCII characters.");
  return told.trim();
}

async function keyIn(file: string, stdin: Context["stdin"]): Promise<string> {
  try {
    return file === "-" ? await text(stdin) : await readFile(file, "utf8");
  } catch (cause) {
    throw new CliError(`${file} cannot be read.`, { cause });
  }
}

/** Asks at a terminal, which does not show what is typed. */
async function askForKey({ stdin, output }: Pick<Context, "stdin" | "output">): Promise<string> {
  if (stdin.isTTY !== true || output.stderr.isTTY !== true) {
    throw usageError("Give the key by --key-file FILE, by --key-file - and stdin, or in FLOWCALL_API_KEY.");
  }
  output.stderr.write("API key: ");
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: silent, terminal: true });
  for await (const line of lines) {
    lines.close();
    output.note("");
    return line;
  }
  return "";
}
