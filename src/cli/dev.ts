import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, watch } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Command } from "./frame/command.ts";
import type { Context } from "./frame/context.ts";
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

type DevServer = {
  readonly url: string;
  readonly keysFile: string;
  readonly ended: AbortSignal;
  readonly exitCode: Promise<number | null>;
  stop(): Promise<void>;
};

/** Starts the server's process, in a group of its own: a signal of the terminal reaches it once, by us. */
async function startServer({ environment, output, signal }: Context): Promise<DevServer> {
  const { dataDir, readyFile: told } = await configOf(environment);
  const folder = told === undefined ? await mkdtemp(join(tmpdir(), "flowcall-dev-")) : dirname(told);
  const readyFile = told ?? join(folder, "ready.json");
  const changes = watch(folder);
  const child = spawn(process.execPath, [main], {
    env: { ...environment, FLOWCALL_READY_FILE: readyFile },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  child.stdout.on("data", (chunk: Buffer) => output.stderr.write(chunk.toString()));
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
  return { url, keysFile: join(dataDir, "keys.json"), ended: ended.signal, exitCode, stop };
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
