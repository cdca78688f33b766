import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { accountOption, type Command, slugOption } from "../command/command.ts";
import type { Context } from "../command/context.ts";
import type { Arguments } from "../command-line/arguments.ts";
import { readStdin, readText } from "../input/read-text.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { urlDefault } from "../settings/local-server.ts";
import { originOf } from "../settings/settings.ts";
import { saveProfile } from "./save-profile.ts";

export const profileAdd: Command = {
  name: "profile add",
  summary: "Stores a server and a key as a profile; the first profile is the current one.",
  positionals: ["NAME"],
  options: {
    "key-file": {
      type: "string",
      value: "FILE|-",
      help: "the file of the key; if absent, FLOWCALL_API_KEY or a prompt",
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

/** Reads the key from a file, stdin, the environment or a prompt. Never from an option: other users see command lines. */
async function readKey(given: Arguments, { environment, stdin, output }: Context): Promise<string> {
  const file = given.text("key-file");
  const key = file === undefined ? environment["FLOWCALL_API_KEY"] : await keyIn(file, stdin);
  const text = key === undefined || key === "" ? await askForKey({ stdin, output }) : key;
  if (!/^[\x21-\x7e]+$/.test(text.trim())) {
    throw usageError("A key is one line of visible ASCII characters.");
  }
  return text.trim();
}

async function keyIn(file: string, stdin: Context["stdin"]): Promise<string> {
  return file === "-" ? await readStdin(stdin) : await readText(file);
}

/** Asks at the terminal without showing what is typed. */
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
