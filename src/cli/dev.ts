import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, watch } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { readVersion } from "../process/version.ts";
import { keysFileIn } from "../setup/data-dir.ts";
import type { Command } from "./frame/command.ts";
import type { Context } from "./frame/context.ts";
import { findLocalServer } from "./frame/local-server.ts";
import { CliError, usageError } from "./said/cli-error.ts";
import { exitCodes } from "./said/exit-codes.ts";
import { resultText } from "./workflow/push.ts";
import { checkFolder, pushes } from "./workflow/pushed-folder.ts";

const main = resolve(import.meta.dirname, "../main.ts");

export const dev: Command = {
  name: "dev",
  summary: "Starts the server, and pushes and publishes a folder's workflow files whenever they change.",
  positionals: ["FOLDER?"],
  options: {},
  example: "flowcall dev flows",

  async run(given, context) {
    const [folder] = given.positionals;
    if (folder !== undefined) await checkFolder(folder);
    const server = await startServer(context);
    try {
      await tellPlace(server, context);
      if (folder !== undefined) {
        const own = await contextOf(server, context);
        const results = pushes(folder, own, server.ended);
        await context.output.stream(results, (result) => result, resultText);
      }
      const code = await server.exitCode;
      if (!context.signal.aborted && code !== 0)
        throw new CliError(`The server ended by itself with the status ${code}.`);
      return exitCodes.done;
    } finally {
      await server.stop();
    }
  },
};

/** What HTTP nodes may reach beside public addresses, if nobody says so: what else its author runs on the machine. */
const egressDefault = "127.0.0.0/8,::1/128";

type DevServer = {
  readonly url: string;
  readonly dataDir: string;
  readonly examples: boolean;
  readonly keysFile: string;
  /** Whether HTTP nodes may call this machine because nobody said what they may. */
  readonly mayCallHere: boolean;
  /** Lets what the server says of itself through. */
  showWelcome(): void;
  readonly ended: AbortSignal;
  readonly exitCode: Promise<number | null>;
  stop(): Promise<void>;
};

/** Starts the server's process, in a group of its own: a signal of the terminal reaches it once, by us. */
async function startServer({ environment, output, signal }: Context): Promise<DevServer> {
  const { dataDir, examples, readyFile: told } = await configOf(environment);
  const folder = told === undefined ? await mkdtemp(join(tmpdir(), "flowcall-dev-")) : dirname(told);
  const readyFile = told ?? join(folder, "ready.json");
  const changes = watch(folder);
  const mayCallHere = !environment["FLOWCALL_EGRESS_ALLOW"];
  const egress = mayCallHere ? { FLOWCALL_EGRESS_ALLOW: egressDefault } : {};
  const child = spawn(process.execPath, [main], {
    env: { ...environment, ...egress, FLOWCALL_READY_FILE: readyFile },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const welcome = Promise.withResolvers<void>();
  child.stdout.on("data", async (chunk: Buffer) => {
    await welcome.promise;
    output.stderr.write(chunk.toString());
  });
  const ended = new AbortController();
  const exitCode = once(child, "exit").then(([code]: (number | null)[]) => {
    ended.abort();
    return code ?? null;
  });
  let isTold = false;
  // A second signal would end it at once.
  const tell = () => {
    if (!isTold) child.kill("SIGTERM");
    isTold = true;
  };
  const stop = async () => {
    tell();
    await exitCode;
    if (told === undefined) await rm(folder, { recursive: true, force: true });
  };
  signal.addEventListener("abort", tell);
  const isReady = (async () => {
    for await (const { filename } of changes) if (filename !== null && readyFile.endsWith(filename)) return true;
    return false;
  })();
  if (!(await Promise.race([isReady, exitCode.then(() => false)]))) {
    throw new CliError(`The server ended before it accepted calls, with the status ${await exitCode}.`);
  }
  const { url } = JSON.parse(await readFile(readyFile, "utf8"));
  return {
    url,
    dataDir,
    examples,
    keysFile: keysFileIn(dataDir),
    mayCallHere,
    showWelcome: () => welcome.resolve(),
    ended: ended.signal,
    exitCode,
    stop,
  };
}

/** In this folder commands find the server by themselves; where they do not, the server says how it is called. */
async function tellPlace(server: DevServer, { environment, output, store }: Context): Promise<void> {
  const { url, dataDir, examples, mayCallHere } = server;
  const [local, { current }] = [await findLocalServer(environment), await store.read()];
  if (local?.url !== url) {
    server.showWelcome();
    return;
  }
  const named = environment["FLOWCALL_PROFILE"] || current;
  const byUrl = named === undefined && !environment["FLOWCALL_URL"] ? "" : ` --url ${url}`;
  const egress = mayCallHere
    ? `\n  HTTP nodes  may call this machine too (FLOWCALL_EGRESS_ALLOW=${egressDefault})`
    : "";
  const [account, call] = examples
    ? ["john@acme.io", `create-task --sync -d '{"Task Name": "Sample task"}'`]
    : ["ACCOUNT", "ALIAS --sync"];
  const why = named === undefined ? "" : ` (--url, since the profile ${named} is in use)`;
  output.note(`
Flowcall ${readVersion()} runs at ${url}

  API page    ${url}/docs
  data, keys  ${dataDir}${egress}

In another terminal, in this folder, without a key${why}:

  export FLOWCALL_ACCOUNT=${account}
  flowcall workflow ls${byUrl}
  flowcall run ${call}${byUrl}
`);
}

/** Loaded when a server is started, and not for every command. */
async function configOf(environment: Context["environment"]) {
  const { ConfigError, readConfig } = await import("../config.ts");
  try {
    return readConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) throw usageError(`The server cannot start:\n  ${error.problems.join("\n  ")}`);
    throw error;
  }
}

/** The server's own test key, where it keeps one; else the one that was given. */
async function contextOf({ url, keysFile }: DevServer, context: Context): Promise<Context> {
  const text = await readFile(keysFile, "utf8").catch(() => "{}");
  const key = context.environment["FLOWCALL_API_KEY"] || JSON.parse(text).test;
  if (typeof key !== "string")
    throw usageError(`There is no key to push with: ${keysFile} holds none; set FLOWCALL_API_KEY.`);
  const settings = { url, key };
  const connect = async () => new (await import("./api/client.ts")).Client(settings);
  return { ...context, settings, connect };
}
