import { chmod, open, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { makeServerFolder } from "./data-folders.ts";
import type { Account } from "./os-user.ts";
import { type Program, runProgram } from "./postgres-program.ts";

/** The database user that Flowcall connects as. */
export const databaseUser = "flowcall";

export type ClusterOptions = {
  readonly home: string;
  readonly program: Program;
  readonly account: Account;
  readonly log: Logger;
  /** Whether what is written must survive a loss of power. */
  readonly isDurable: boolean;
};

/** Makes the folder of the data where it is missing, and answers its path. It belongs to one major version. */
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
  const { home, program, account, log, isDurable } = options;
  log.info({ folder }, `initialising the database in ${folder}`);
  const startTime = performance.now();
  // Under its final name the folder is always whole: a first start that was killed half-way begins anew.
  const unfinished = `${folder}.new`;
  await makeServerFolder(unfinished, account);
  const args = [
    `--pgdata=${unfinished}`,
    `--username=${databaseUser}`,
    "--encoding=UTF8",
    // The C.UTF-8 that Postgres brings itself sorts alike on every machine and after every update of the machine.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--auth-local=peer",
    "--auth-host=reject",
    "--no-instructions",
    ...(isDurable ? [] : ["--no-sync"]),
  ];
  await runProgram(join(program.binFolder, "initdb"), args, account);
  await rename(unfinished, folder);
  if (isDurable) {
    await syncFolder(home);
  }
  log.info({ folder, ms: Math.round(performance.now() - startTime) }, "the database is initialised");
}

/** Makes sure that the new name survives a loss of power, as the data under it will. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes down who may connect: over the Unix socket alone, and only the database's user and ours, whom the kernel
 * vouches for. Answers the server settings that name the files. It is done at each start, since Flowcall may come back
 * as another user.
 */
export async function writeAccess(home: string, account: Account): Promise<Readonly<Record<string, string>>> {
  const names = account.isOther ? [account.name, "root"] : [account.name];
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
