import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { makeServerFolder } from "../../src/storage/embedded/data-folders.ts";
import { findOsUser } from "../../src/storage/embedded/os-user.ts";
import { programOptions } from "../../src/storage/embedded/postgres-program.ts";
import { type OwnPostgres, startOwnPostgres } from "./own-postgres.ts";
import { until } from "./until.ts";

/** Where Debian's package libfaketime has it, on the machines that this is run on. */
const libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(
  (machine) => `/usr/lib/${machine}/faketime/libfaketimeMT.so.1`,
);

/** The library that changes what a process takes the time to be; undefined where the machine has none. */
export function faketimeLibrary(): string | undefined {
  return libraries.find((library) => existsSync(library));
}

/** The environment of a process whose clock is so many seconds ahead, or behind; what it measures times with is right. */
export function shiftedClock(library: string, seconds: number): Readonly<Record<string, string>> {
  return { LD_PRELOAD: library, FAKETIME: shiftOf(seconds), FAKETIME_DONT_FAKE_MONOTONIC: "1" };
}

/** A Postgres whose clock can be set while it runs. */
export type ClockedPostgres = OwnPostgres & { setClock(seconds: number): Promise<void> };

export async function startClockedPostgres(library: string): Promise<ClockedPostgres> {
  const folder = await mkdtemp(join(tmpdir(), "flowcall-clock-"));
  // The database runs as another user where this runs as root.
  await chmod(folder, 0o755);
  const file = join(folder, "shift");
  const setClock = async (seconds: number) => {
    // Whole at once: it is read at each look at the clock.
    await writeFile(`${file}.new`, `${shiftOf(seconds)}\n`, { mode: 0o644 });
    await rename(`${file}.new`, file);
  };
  await setClock(0);
  const own = await startOwnPostgres({ fsync: "off", full_page_writes: "off" });
  let child: ChildProcess | undefined;
  const kill = () => void child?.kill("SIGINT");
  const stop = async () => {
    process.off("exit", kill);
    if (child !== undefined && !hasEnded(child)) {
      kill();
      await once(child, "exit");
    }
    await own.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const [program = "", ...args] = await commandLineOf(own.dataFolder);
    await own.suspend();
    const account = await findOsUser();
    await makeServerFolder(own.connection.host, account);
    const { env, ...options } = programOptions(own.dataFolder, account);
    const faked = { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: "1" };
    const server = spawn(program, args, {
      ...options,
      stdio: "ignore",
      env: { ...env, ...faked, FAKETIME_DONT_FAKE_MONOTONIC: "1" },
    });
    child = server;
    process.on("exit", kill);
    const isUp = await Promise.race([
      once(server, "exit").then(() => false),
      until("the database to take connections", () => connects(own.connection), { withinMs: 120_000 }).then(() => true),
    ]);
    if (!isUp) {
      throw new Error("the database with a faked clock ended while it started");
    }
    return { ...own, stop, setClock };
  } catch (error) {
    await stop();
    throw error;
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function connects(connection: pg.ClientConfig): Promise<boolean> {
  const client = new pg.Client(connection);
  client.on("error", () => undefined);
  await client.connect();
  await client.end();
  return true;
}

/** The words of a command line as Postgres writes it down: the program, and its arguments in quotes. */
async function commandLineOf(dataFolder: string): Promise<readonly string[]> {
  const line = (await readFile(join(dataFolder, "postmaster.opts"), "utf8")).trim();
  const [program = ""] = line.split(' "', 1);
  return [program, ...[...line.slice(program.length).matchAll(/"([^"]*)"/g)].map(([, word = ""]) => word)];
}

function shiftOf(seconds: number): string {
  return `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}`;
}
