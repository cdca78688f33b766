import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, watch } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, extname, join, resolve } from "node:path";
import { keysFileIn } from "../../setup/data-dir.ts";
import type { Context } from "../command/context.ts";
import { CliError, usageError } from "../output/cli-error.ts";

/** The server process that `flowcall dev` started. */
export type DevServer = {
  readonly url: string;
  readonly dataDir: string;
  /** Whether it has the example workflows. */
  readonly examples: boolean;
  readonly keysFile: string;
  /** Whether HTTP nodes may call this machine, because FLOWCALL_EGRESS_ALLOW is not set. */
  readonly mayCallHere: boolean;
  /** Prints the server's own welcome text, which is held back until then. */
  showWelcome(): void;
  /** Aborted when the process has ended. */
  readonly ended: AbortSignal;
  readonly exitCode: Promise<number | null>;
  stop(): Promise<void>;
};

/** The FLOWCALL_EGRESS_ALLOW of a development server: HTTP nodes may call the other programs of this machine. */
export const egressDefault = "127.0.0.0/8,::1/128";

const main = resolve(import.meta.dirname, `../../main${extname(import.meta.filename)}`);

/** Starts the server process and waits until it accepts calls. Throws CliError if it ends before that. */
export async function startDevServer({ environment, output, signal }: Context): Promise<DevServer> {
  const { dataDir, examples, readyFile: ownReadyFile } = await configOf(environment);
  const folder = ownReadyFile === undefined ? await mkdtemp(join(tmpdir(), "flowcall-dev-")) : dirname(ownReadyFile);
  const readyFile = ownReadyFile ?? join(folder, "ready.json");
  const changes = watch(folder);
  const mayCallHere = !environment["FLOWCALL_EGRESS_ALLOW"];
  const egress = mayCallHere ? { FLOWCALL_EGRESS_ALLOW: egressDefault } : {};
  // Node 22 warns of its SQLite, which the lock of the data folder uses.
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main], {
    env: { ...environment, ...egress, FLOWCALL_READY_FILE: readyFile },
    stdio: ["ignore", "pipe", "inherit"],
    // In a process group of its own Ctrl-C does not reach it: this process sends the one SIGTERM.
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
  const terminate = terminateOnce(child);
  signal.addEventListener("abort", terminate);
  const isReady = Promise.race([isWritten(changes, readyFile), exitCode.then(() => false)]);
  if (!(await isReady)) {
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
    stop: async () => {
      terminate();
      await exitCode;
      if (ownReadyFile === undefined) {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

/** A second SIGTERM would end the server at once, without its graceful shutdown. */
function terminateOnce(child: ChildProcess): () => void {
  let isSent = false;
  return () => {
    if (!isSent) {
      child.kill("SIGTERM");
    }
    isSent = true;
  };
}

async function isWritten(changes: AsyncIterable<{ readonly filename: string | null }>, file: string): Promise<boolean> {
  for await (const { filename } of changes) {
    if (filename !== null && file.endsWith(filename)) {
      return true;
    }
  }
  return false;
}

/** The server's settings. They are loaded here, so that other commands start without them. */
async function configOf(environment: Context["environment"]) {
  const { ConfigError, readConfig } = await import("../../config.ts");
  try {
    return readConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) {
      throw usageError(`The server cannot start:\n  ${error.problems.join("\n  ")}`);
    }
    throw error;
  }
}
