import { chmod, open, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { makeServerFolder } from "./data-folders.ts";
import type { OsUser } from "./os-user.ts";
import { type PostgresProgram, runProgram } from "./postgres-program.ts";

/** The database user that Flowcall connects as. */
export const databaseUser = "flowcall";

export type ClusterOptions = {
  readonly home: string;
  readonly program: PostgresProgram;
  readonly osUser: OsUser;
  readonly log: Logger;
  /** Whether writes must survive a power failure. */
  readonly isDurable: boolean;
};

/** Creates the database cluster (Postgres's word for a data folder) where it is missing; answers its path. It belongs to one major version. */
export async function openCluster(options: ClusterOptions): Promise<string> {
  const { home, program } = options;
  const name = `data-${program.majorVersion}`;
  const folder = join(home, name);
  const others = (await readdir(home)).filter((entry) => /^data-\d+$/.test(entry));
  if (!others.includes(name)) {
    if (others.length > 0) {
      throw new Error(
        `${home} holds ${others.join(" and ")}, which PostgreSQL ${program.majorVersion} cannot read: ` +
          "start the Flowcall that made it, or move the folder away to begin with an empty database",
      );
    }
    await initialise(folder, options);
  }
  const version = (await readFile(join(folder, "PG_VERSION"), "utf8")).trim();
  if (version !== String(program.majorVersion)) {
    throw new Error(`${folder} holds data of PostgreSQL ${version}, which ${program.majorVersion} cannot read`);
  }
  return folder;
}

async function initialise(folder: string, options: ClusterOptions): Promise<void> {
  const { home, program, osUser, log, isDurable } = options;
  log.info({ folder }, `initialising the database in ${folder}`);
  const startTime = performance.now();
  // The folder gets its final name once it is complete: a first start that was killed begins again.
  const unfinished = `${folder}.new`;
  await makeServerFolder(unfinished, osUser);
  const args = [
    `--pgdata=${unfinished}`,
    `--username=${databaseUser}`,
    "--encoding=UTF8",
    // The built-in C.UTF-8 sorts the same on every machine, whatever version of libc it has.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--auth-local=peer",
    "--auth-host=reject",
    "--no-instructions",
    ...(isDurable ? [] : ["--no-sync"]),
  ];
  await runProgram(join(program.binFolder, "initdb"), args, osUser);
  await rename(unfinished, folder);
  if (isDurable) {
    await syncFolder(home);
  }
  log.info({ folder, ms: Math.round(performance.now() - startTime) }, "the database is initialised");
}

/** fsync of the parent folder: the new name survives a power failure, as the data in it does. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes `pg_hba.conf` and `pg_ident.conf`: peer authentication over the Unix socket, for the server's user and ours alone.
 * Answers the server settings that name the files. Each start writes them, since Flowcall may run as another user then.
 */
export async function writeAccess(home: string, osUser: OsUser): Promise<Readonly<Record<string, string>>> {
  const names = osUser.isOther ? [osUser.name, "root"] : [osUser.name];
  const rules = join(home, "hba.conf");
  const users = join(home, "ident.conf");
  await writeReadable(rules, "local all all peer map=flowcall\n");
  await writeReadable(users, names.map((name) => `flowcall "${name}" ${databaseUser}\n`).join(""));
  return { hba_file: rules, ident_file: users };
}

async function writeReadable(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o644);
}
