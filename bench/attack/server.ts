import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type pg from "pg";

/** How long a start may take on a machine that is busy with other work. */
const startMs = 120_000;

/** A server as it is seen from outside. */
export type Target = {
  readonly url: string;
  /** Of the process that all others of the server descend from, and that ends with it. */
  readonly rootPid: number;
  readonly connection: pg.ClientConfig;
  /** Says how much of its heap is in use, where it could say so a moment ago. */
  heapBytes(): Promise<number | undefined>;
  isAlive(): boolean;
  /** What ended it, as a signal or a status. */
  readonly exited: Promise<string>;
  kill(): void;
};

export type AttackedServer = Target & { stop(): Promise<void> };

/**
 * Starts the server of a checkout, as its `npm start` does, with a data folder of its own and an embedded Postgres. The
 * checkout may be of any version, so nothing of it is imported.
 */
export async function startAttacked(checkout: string, environment: NodeJS.ProcessEnv): Promise<AttackedServer> {
  const folder = await mkdtemp(join(tmpdir(), "flowcall-attack-"));
  // The database runs as another user where this runs as root.
  await chmod(folder, 0o755);
  const dataDir = join(folder, "data");
  const heapFile = join(folder, "heap");
  const logFile = join(folder, "log");
  const log = openSync(logFile, "a");
  const { scripts } = JSON.parse(await readFile(join(checkout, "package.json"), "utf8"));
  const child = spawn("sh", ["-c", String(scripts.start)], {
    cwd: checkout,
    detached: true,
    stdio: ["ignore", "ignore", log],
    env: {
      HOME: process.env["HOME"],
      PATH: [join(checkout, "node_modules/.bin"), process.env["PATH"]].join(delimiter),
      NODE_OPTIONS: `--import=${join(import.meta.dirname, "heap-gauge.ts")}`,
      ATTACK_HEAP_FILE: heapFile,
      FLOWCALL_PORT: "0",
      FLOWCALL_DATA_DIR: dataDir,
      FLOWCALL_READY_FILE: join(folder, "ready.json"),
      FLOWCALL_LOG_LEVEL: "warn",
      FLOWCALL_EXAMPLES: "false",
      FLOWCALL_EGRESS_ALLOW: "127.0.0.1",
      ...environment,
    },
  });
  const exited = once(child, "exit").then(([code, signal]) => String(signal ?? code));
  let isAlive = true;
  void exited.then(() => {
    isAlive = false;
  });
  const kill = () => signalAll(child, "SIGKILL");
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const { url, pid } = await readReady(join(folder, "ready.json"), () => isAlive);
    return {
      url,
      rootPid: child.pid ?? pid,
      connection: { host: join(dataDir, "postgres/socket"), user: "flowcall", database: "postgres" },
      heapBytes: async () => Number(await readFile(heapFile, "utf8").catch(() => Number.NaN)) || undefined,
      isAlive: () => isAlive,
      exited,
      kill,
      stop: async () => {
        if (isAlive) {
          process.kill(pid, "SIGTERM");
        }
        await Promise.race([exited, pause(5_000)]);
        // What an end by a signal has left, Postgres first of all.
        signalAll(child, "SIGQUIT");
        await Promise.race([exited, pause(2_000)]);
        kill();
        await exited;
        await pause(500);
        await remove();
      },
    };
  } catch (error) {
    kill();
    const said = await readFile(logFile, "utf8");
    await mkdir(folder, { recursive: true });
    await remove();
    throw new Error(`the server of ${checkout} did not start: ${said.slice(-2_000)}`, { cause: error });
  }
}

async function readReady(file: string, isAlive: () => boolean): Promise<{ url: string; pid: number }> {
  const startTime = performance.now();
  while (isAlive() && performance.now() - startTime < startMs) {
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text !== undefined) {
      return JSON.parse(text);
    }
    await pause(50);
  }
  throw new Error("it has ended, or was not ready in time");
}

/** Sends a signal to the group of a process that was started in a group of its own. */
export function signalAll({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) {
    return;
  }
  try {
    process.kill(-pid, signal);
  } catch {
    // None of them is left.
  }
}
