import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Logger } from "pino";

/** The time for each kind of shutdown. */
const endMs = 15_000;

/**
 * Ends the orphaned server of this data folder, whose Flowcall was killed. Call it with the folder's lock held: then no
 * living Flowcall uses that server.
 */
export async function endOrphanedServer(dataFolder: string, log: Logger): Promise<void> {
  const pidFile = join(dataFolder, "postmaster.pid");
  const content = await readFile(pidFile, "utf8").catch(() => undefined);
  const named = content === undefined ? await findServer(dataFolder) : Number.parseInt(content, 10);
  const pid = named !== undefined && (await servesFolder(named, dataFolder)) ? named : undefined;
  if (pid !== undefined) {
    log.warn({ pid }, "ending the database server that an earlier Flowcall left behind");
    if (!(await endServer(pid, dataFolder))) {
      throw new Error(`the database server that an earlier Flowcall left behind (process ${pid}) does not end`);
    }
    return;
  }
  if (content === undefined) {
    return;
  }
  // The pid is free or belongs to another program by now, and in the latter case Postgres would refuse to start. With the
  // pid of its own parent in the file it starts, after the check that no child of the dead server uses its shared memory;
  // deleting the file would skip that check. The folder belongs to the server's user: as root we must not follow a link.
  const flag = constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW;
  await writeFile(pidFile, content.replace(/^.*/, String(process.pid)), { flag });
}

/** Fast shutdown (SIGINT) first, then immediate shutdown (SIGQUIT), which costs a recovery at the next start. */
async function endServer(pid: number, dataFolder: string): Promise<boolean> {
  for (const signal of ["SIGINT", "SIGQUIT"] as const) {
    process.kill(pid, signal);
    const limit = performance.now() + endMs;
    while (performance.now() < limit) {
      if (!(await servesFolder(pid, dataFolder))) {
        return true;
      }
      await sleep(10);
    }
  }
  return false;
}

/**
 * Finds the server of this folder by its working folder, where the pid file is lost. This works on Linux alone; elsewhere
 * the server itself notices within a minute that its pid file is gone, and ends.
 */
async function findServer(dataFolder: string): Promise<number | undefined> {
  const entries = process.platform === "linux" ? await readdir("/proc") : [];
  for (const pid of entries.filter((entry) => /^\d+$/.test(entry))) {
    // Its children have the same working folder but other titles, and end with it.
    const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (words.split("\0").includes(dataFolder) && (await servesFolder(Number(pid), dataFolder))) {
      return Number(pid);
    }
  }
  return undefined;
}

/** Whether the process is alive, is Postgres, and serves this folder: the pid may belong to another program by now. */
async function servesFolder(pid: number, dataFolder: string): Promise<boolean> {
  try {
    if (process.platform === "linux") {
      const name = await readFile(`/proc/${pid}/comm`, "utf8");
      return name.trim() === "postgres" && (await readlink(`/proc/${pid}/cwd`)) === dataFolder;
    }
    const { stdout } = await promisify(execFile)("ps", ["-o", "args=", "-p", String(pid)]);
    return stdout.includes("postgres") && stdout.includes(dataFolder);
  } catch {
    return false;
  }
}
