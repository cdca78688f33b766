import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, watch } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { heapMib, missingLimits } from "../../src/process/memory-limits.ts";
import { bundleOf } from "./server-bundle.ts";

const root = resolve(import.meta.dirname, "../..");

/** Where `src/main.ts` keeps it too. */
const compileCache = join(root, "node_modules/.cache/node");

/** The server as a process of its own, for tests that kill it. */
export type ServerProcess = {
  readonly url: string;
  readonly pid: number;
  readonly child: ChildProcess;
  /** Sends a signal and waits for the process's end; answers its exit status, null after a signal that it did not catch. */
  end(signal: NodeJS.Signals): Promise<number | null>;
};

export type ServerProcessOptions = {
  readonly dataDir: string;
  readonly environment?: NodeJS.ProcessEnv;
  /** A module that is loaded before the server's own; it has a channel to this process. */
  readonly preload?: string;
  /** Another program than `src/main.ts`, with its arguments; it has a channel to this process. */
  readonly program?: readonly string[];
  /** Where its log goes: to this process's own by default. */
  readonly stderr?: "inherit" | "pipe";
};

/** A folder that the database's user can reach too, where the tests run as root. */
export async function makeDataDir(): Promise<{ readonly dataDir: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "flowcall-process-"));
  await chmod(folder, 0o755);
  return { dataDir: join(folder, "data"), remove: () => rm(folder, { recursive: true, force: true }) };
}

/**
 * Starts `src/main.ts`, or another program that says in the same way that it is ready, in one file where it can be, and
 * waits until it accepts calls.
 */
export async function startServerProcess({
  dataDir,
  environment,
  preload,
  program: [program = "src/main.ts", ...words] = [],
  stderr = "inherit",
}: ServerProcessOptions): Promise<ServerProcess> {
  const folder = join(dataDir, "..", "ready");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const changes = watch(folder);
  const hasChannel = preload !== undefined || program !== "src/main.ts";
  // A process with a channel would lose it by starting anew, and so begins with what it would get then.
  const { flags, variables } = missingLimits({
    environment: { ...process.env, ...environment },
    execArgv: [],
    platform: process.platform,
    machineMib: heapMib.default,
  });
  const limits = hasChannel ? flags : [];
  const loaded = preload === undefined ? [] : ["--import", preload];
  const child = spawn(process.execPath, [...limits, ...loaded, await bundleOf(program), ...words], {
    cwd: root,
    env: {
      ...(hasChannel && { ...variables, NODE_COMPILE_CACHE: compileCache }),
      ...process.env,
      FLOWCALL_PORT: "0",
      FLOWCALL_DATA_DIR: dataDir,
      FLOWCALL_READY_FILE: join(folder, "ready.json"),
      FLOWCALL_LOG_LEVEL: "error",
      ...environment,
    },
    stdio: ["ignore", "ignore", stderr, ...(hasChannel ? (["ipc"] as const) : [])],
  });
  const exited = once(child, "exit");
  const failed = exited.then(() => {
    throw new Error("the server ended before it was ready");
  });
  const ready = (async () => {
    for await (const { filename } of changes) {
      if (filename === "ready.json") {
        break;
      }
    }
  })();
  await Promise.race([ready, failed]);
  failed.catch(() => undefined);
  const { url, pid } = JSON.parse(await readFile(join(folder, "ready.json"), "utf8"));
  return {
    url,
    pid,
    child,
    end: async (signal) => {
      // One that has ended by itself has no id any more.
      if (child.exitCode === null && child.signalCode === null) {
        process.kill(pid, signal);
      }
      const [code] = await exited;
      return code;
    },
  };
}
