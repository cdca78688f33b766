import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Logger } from "pino";

/** How long a server may take for each way of ending. */
const endMs = 15_000;

/**
 * Ends the server that a killed Flowcall left behind on this data folder. Call it with the folder's lock held: then no
 * living Flowcall uses that server.
 */
export async function endOrphan(dataFolder: string, log: Logger): Promise<void> {
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
  // The pid is nobody's, or that of some other program by now; in the latter case Postgres would refuse to start. It
  // takes its parent's pid for a left one, and then still checks that no child of the dead server uses its memory:
  // deleting the file would lose that check.
  // The folder is the database user's: as root we must not follow a link in it.
  const flag = constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW;
  await writeFile(pidFile, content.replace(/^.*/, String(process.pid)), { flag });
}

/** Fast first; then at once, which costs a recovery at the next start. */
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
 * The server on this folder that no file names, which is found by its working folder, on Linux alone: elsewhere it finds
 * out by itself within a minute that its file is lost, and ends.
 */
async function findServer(dataFolder: string): Promise<number | undefined> {
  const entries = process.platform === "linux" ? await readdir("/proc") : [];
  for (const pid of entries.filter((entry) => /^\d+$/.test(entry))) {
    // Its children work in the same folder under titles of their own, and end with it.
    const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (words.split("\0").includes(dataFolder) && (await servesFolder(Number(pid), dataFolder))) return Number(pid);
  }
  return undefined;
}

/** Whether the process is alive, is Postgres, and serves this folder: a pid alone may long be somebody else's. */
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
