import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  access,
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedPostgres } from "../../src/storage/embedded/embedded-postgres.ts";
import { findOsUser } from "../../src/storage/embedded/os-user.ts";
import { findPackage, installProgram, runProgram } from "../../src/storage/embedded/postgres-program.ts";
import { eventually } from "../support/eventually.ts";

const log = pino({ level: "silent" });
const isRoot = process.getuid?.() === 0;
const osUser = await findOsUser();

let root: string;
let started: EmbeddedPostgres[] = [];
let children: ChildProcess[] = [];

beforeAll(async () => {
  root = await mkdtemp("/tmp/flowcall-embedded-");
  await chmod(root, 0o755);
});

afterEach(async () => {
  for (const child of children) {
    child.kill("SIGTERM");
    if (child.exitCode === null && child.signalCode === null) {
      await once(child, "exit");
    }
  }
  await Promise.all(started.map((database) => database.stop()));
  children = [];
  started = [];
});

afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

/** A database on a folder of the test's own, with nothing synced to disk unless the test asks for it. */
async function start(dataDir: string, settings: Record<string, string> = { fsync: "off" }): Promise<EmbeddedPostgres> {
  const database = new EmbeddedPostgres({ dataDir, log, settings });
  started.push(database);
  await database.start();
  return database;
}

async function query(connection: pg.ClientConfig, text: string): Promise<unknown[]> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Starts a database in another process and answers that process and the line it printed. */
async function startChild(dataDir: string, user: { uid?: number; gid?: number } = {}) {
  const child = spawn(process.execPath, [fileURLToPath(new URL("./embedded-child.ts", import.meta.url)), dataDir], {
    stdio: ["ignore", "pipe", "inherit"],
    ...user,
  });
  children.push(child);
  const [line]: string[] = await once(createInterface({ input: child.stdout }), "line");
  return { child, line: line ?? "" };
}

async function rejection(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => expect.fail("it did not fail"),
    (reason: unknown) => reason,
  );
  return error instanceof Error ? `${error.message}: ${error.cause}` : String(error);
}

async function pidOf(dataDir: string): Promise<number> {
  return Number.parseInt(await readFile(join(dataDir, "postgres/data-18/postmaster.pid"), "utf8"), 10);
}

describe("with a folder used before", () => {
  let dataDir: string;

  beforeAll(async () => {
    dataDir = join(root, "used");
    const database = await start(dataDir);
    await query(database.connection, "create table kept (value int); insert into kept values (1)");
    await database.stop();
  });

  test("keeps what was committed when its process is killed, and the left server gives way", async () => {
    const { child, line } = await startChild(dataDir);
    await query(JSON.parse(line), "insert into kept values (2)");
    const left = await pidOf(dataDir);
    child.kill("SIGKILL");
    await once(child, "exit");

    const database = await start(dataDir);
    expect(await query(database.connection, "select value from kept order by 1")).toEqual([{ value: 1 }, { value: 2 }]);
    expect(await pidOf(dataDir)).not.toBe(left);
  });

  test.skipIf(process.platform !== "linux")(
    "ends the left server at once though the file that names it is lost",
    async () => {
      const { child } = await startChild(dataDir);
      const left = await pidOf(dataDir);
      child.kill("SIGKILL");
      await once(child, "exit");
      await rm(join(dataDir, "postgres/data-18/postmaster.pid"));
      await start(dataDir);
      // Whoever adopted it may not have taken its end yet: such a one works in no folder any more.
      await expect(readlink(`/proc/${left}/cwd`)).rejects.toThrow("ENOENT");
    },
  );

  test("refuses a second process and leaves the first alone", async () => {
    const first = await start(dataDir);
    const pid = await pidOf(dataDir);
    const { line } = await startChild(dataDir);
    expect(line).toContain(`another Flowcall (process ${process.pid}) uses the folder`);
    expect(line).toContain("FLOWCALL_DATABASE_URL");
    expect(await rejection(start(dataDir))).toContain("another Flowcall");
    expect(await pidOf(dataDir)).toBe(pid);
    expect(await query(first.connection, "select 1 as one")).toEqual([{ one: 1 }]);
  });

  test("starts although the pid file names a process that is dead or somebody else's", async () => {
    const stranger = spawn("sleep", ["60"], { uid: osUser.uid, gid: osUser.gid });
    children.push(stranger);
    const dead = spawn("true");
    await once(dead, "exit");
    for (const { pid } of [stranger, dead]) {
      const pidFile = join(dataDir, "postgres/data-18/postmaster.pid");
      await writeFile(pidFile, `${pid}\n${dataDir}/postgres/data-18\n1700000000\n5432\n/nowhere\n\n 1 1\nready\n`);
      await chown(pidFile, osUser.uid, osUser.gid);
      const database = await start(dataDir);
      expect(await query(database.connection, "select 1 as one")).toEqual([{ one: 1 }]);
      await database.stop();
    }
    expect(stranger.exitCode).toBeNull();
  });

  test("is reached over its socket alone, by nobody but its user and us", async () => {
    const { connection } = await start(dataDir);
    expect(await query(connection, "select current_setting('listen_addresses') as addresses")).toEqual([
      { addresses: "" },
    ]);
    expect((await stat(connection.host)).mode & 0o077).toBe(0);
    expect(await rejection(query({ ...connection, user: "postgres" }, "select 1"))).toContain(
      "Peer authentication failed",
    );
  });

  test("sorts and stores text alike on every machine, and writes durably unless told otherwise", async () => {
    const { connection } = await start(dataDir, {});
    const rows = await query(
      connection,
      `select datlocale as locale, pg_encoding_to_char(encoding) as encoding, current_setting('fsync') as fsync,
       current_setting('timezone') as timezone from pg_database where datname = current_database()`,
    );
    expect(rows).toEqual([{ locale: "C.UTF-8", encoding: "UTF8", fsync: "on", timezone: "UTC" }]);
  });

  test("starts a server again that ends by itself", async () => {
    const { connection } = await start(dataDir);
    const pid = await pidOf(dataDir);
    process.kill(pid, "SIGKILL");
    await eventually(() => query(connection, "select 1"));
    expect(await pidOf(dataDir)).not.toBe(pid);
  });

  test("can be stopped twice, before a start and while it starts, and started again", async () => {
    const database = new EmbeddedPostgres({ dataDir, log });
    await database.stop();
    const starting = database.start();
    await database.stop();
    await starting.catch(() => undefined);
    await database.start();
    await database.stop();
    await database.stop();
    await expect(access(join(dataDir, "postgres/data-18/postmaster.pid"))).rejects.toThrow("ENOENT");
    expect(() => database.connection).toThrow("not started");
  });

  test("says which data it cannot read", async () => {
    const home = join(dataDir, "postgres");
    await rename(join(home, "data-18"), join(home, "data-17"));
    try {
      expect(await rejection(start(dataDir))).toContain("holds data-17, which PostgreSQL 18 cannot read");
    } finally {
      await rename(join(home, "data-17"), join(home, "data-18"));
    }
  });
});

describe("with a new folder", () => {
  test("begins anew where a first start was killed half-way, and fits its socket's path into what a kernel takes", async () => {
    const dataDir = join(root, "deep".repeat(40));
    await mkdir(join(dataDir, "postgres/data-18.new"), { recursive: true });
    await mkdir(join(dataDir, "postgres/program-18.4.0-beta.17.new"));
    await writeFile(join(dataDir, "postgres/data-18.new/PG_VERSION"), "18");
    const { connection } = await start(dataDir);
    expect(await query(connection, "select 1 as one")).toEqual([{ one: 1 }]);
    expect(connection.host).toMatch(/^\/tmp\/flowcall-/);
    expect((await lstat(connection.host)).mode & 0o077).toBe(0);
  });

  test("runs programs whose package is closed to the database's user and came without its links", async () => {
    const closed = join(root, "closed");
    await mkdir(closed, { mode: 0o700 });
    const packageFolder = join(closed, "package");
    const filter = async (path: string) => !(await lstat(path)).isSymbolicLink();
    await cp(findPackage(process), packageFolder, { recursive: true, filter });
    const home = join(root, "program");
    await mkdir(home);
    const program = await installProgram({ packageFolder, home, osUser, log });
    expect(await runProgram(join(program.binFolder, "initdb"), ["--version"], osUser)).toContain("18.4");
    expect(program.majorVersion).toBe(18);
  });

  test.runIf(isRoot)("names the folder that the database's user may not enter", async () => {
    const closed = join(root, "for-root-only");
    await mkdir(closed, { mode: 0o700 });
    const message = await rejection(start(join(closed, "data")));
    expect(message).toContain(`may not enter ${closed}`);
    expect(message).toContain("FLOWCALL_DATABASE_URL");
  });

  test.runIf(isRoot && canBeEntered())("runs for an ordinary user", async () => {
    const dataDir = join(root, "ordinary");
    await mkdir(dataDir);
    await chown(dataDir, 65534, 65534);
    const { line } = await startChild(dataDir, { uid: 65534, gid: 65534 });
    expect(JSON.parse(line)).toMatchObject({ user: "flowcall" });
    expect((await stat(join(dataDir, "postgres/data-18"))).uid).toBe(65534);
  });

  test("says that there is no database for a machine", () => {
    expect(() => findPackage({ platform: "sunos", arch: "sparc" })).toThrow("not made for every platform");
    expect(() => findPackage({ platform: "win32", arch: "x64" })).toThrow("Linux and macOS only");
  });
});

/** Whether an ordinary user can reach this checkout and its Node at all. */
function canBeEntered(): boolean {
  try {
    execFileSync(process.execPath, ["--version"], { uid: 65534, gid: 65534, cwd: import.meta.dirname });
    return true;
  } catch {
    return false;
  }
}
