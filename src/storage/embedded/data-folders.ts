import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, chmod, chown, lstat, mkdir, readdir, realpath, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { OsUser } from "./os-user.ts";

/** The longest path of a Unix socket on macOS (`sun_path`); Linux allows 4 bytes more. */
const socketPathBytesMax = 103;

/**
 * Creates the data folder and in it the folder of the database; answers the path of the latter.
 *
 * That folder stays ours, and only what the server writes belongs to the server's user. As root we must never write through
 * a symbolic link that somebody else could have put there.
 */
export async function makeHome(dataDir: string, osUser: OsUser): Promise<string> {
  await makeDataDir(dataDir);
  // A folder with other files keeps its owner: only a new or empty one is surely ours to give away.
  if (osUser.isOther && (await readdir(dataDir)).length === 0) {
    await chown(dataDir, osUser.uid, osUser.gid);
  }
  const home = join(await realpath(dataDir), "postgres");
  await mkdir(home, { recursive: true });
  const owner = await lstat(home);
  if (!owner.isDirectory() || owner.uid !== process.getuid?.()) {
    throw new Error(`${home} belongs to another user: start Flowcall as that user, or choose another folder`);
  }
  await chmod(home, 0o711);
  await checkReachable(home, osUser);
  return home;
}

/** FLOWCALL_DATA_DIR names a folder that cannot be used. */
export class DataDirProblem extends Error {}

async function makeDataDir(dataDir: string): Promise<void> {
  try {
    await mkdir(dirname(dataDir), { recursive: true });
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await access(dataDir, constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST" || code === "ENOTDIR") {
      throw new DataDirProblem(`${dataDir} is in the place of a file: name a folder in FLOWCALL_DATA_DIR`);
    }
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
      throw new DataDirProblem(
        `this user may not write to ${dataDir}: give it that folder (chown), or name another one in FLOWCALL_DATA_DIR`,
      );
    }
    throw error;
  }
}

/** Creates an empty folder that only the server's user and root may enter. It deletes what was there. */
export async function makeServerFolder(path: string, osUser: OsUser): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { mode: 0o700 });
  if (osUser.isOther) {
    await chown(path, osUser.uid, osUser.gid);
  }
}

/** The folder of the server's Unix socket: beside the data or, where that path is too long, in /tmp. */
export function socketFolderFor(home: string): string {
  const folder = join(home, "socket");
  if (Buffer.byteLength(join(folder, ".s.PGSQL.5432")) <= socketPathBytesMax) {
    return folder;
  }
  const name = createHash("sha256").update(home).digest("hex").slice(0, 16);
  return join("/tmp", `flowcall-${name}`);
}

/** Names the folder that the server's user cannot enter: the server's own message names only the file that it could not read. */
async function checkReachable(folder: string, osUser: OsUser): Promise<void> {
  for (let path = dirname(folder); path !== dirname(path); path = dirname(path)) {
    const { uid, gid, mode } = await stat(path);
    const enterBit = uid === osUser.uid ? 0o100 : gid === osUser.gid ? 0o010 : 0o001;
    if ((mode & enterBit) === 0) {
      throw new Error(
        `the database runs as the user ${osUser.name}, who may not enter ${path}: ` +
          "open that folder (chmod o+x) or choose another one with FLOWCALL_DATA_DIR",
      );
    }
  }
}
