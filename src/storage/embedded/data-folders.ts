import { createHash } from "node:crypto";
import { chmod, chown, lstat, mkdir, readdir, realpath, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Account } from "./os-user.ts";

/** A path of a Unix socket that is longer does not fit into what macOS (Linux has 4 more) hands to the kernel. */
const socketPathBytesMax = 103;

/**
 * Makes the data folder and, in it, the folder that holds all of the database; answers the latter's path.
 *
 * That folder stays ours, and only what the server writes is given to its user: as root we must never write through a
 * link that somebody else could have laid.
 */
export async function makeHome(dataDir: string, account: Account): Promise<string> {
  await mkdir(dirname(dataDir), { recursive: true });
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // A folder that holds other things keeps its owner: only one that is new or empty is surely ours to give away.
  if (account.isOther && (await readdir(dataDir)).length === 0) {
    await chown(dataDir, account.uid, account.gid);
  }
  const home = join(await realpath(dataDir), "postgres");
  await mkdir(home, { recursive: true });
  const owner = await lstat(home);
  if (!owner.isDirectory() || owner.uid !== process.getuid?.()) {
    throw new Error(`${home} belongs to another user: start Flowcall as that user, or choose another folder`);
  }
  await chmod(home, 0o711);
  await checkReachable(home, account);
  return home;
}

/** Makes an empty folder that only the database's user, and root, may enter; what stood there before is deleted. */
export async function makeServerFolder(path: string, account: Account): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { mode: 0o700 });
  if (account.isOther) {
    await chown(path, account.uid, account.gid);
  }
}

/** Where the server's Unix socket goes: beside the data, or where that path is too long, in /tmp. */
export function socketFolderFor(home: string): string {
  const folder = join(home, "socket");
  if (Buffer.byteLength(join(folder, ".s.PGSQL.5432")) <= socketPathBytesMax) {
    return folder;
  }
  const name = createHash("sha256").update(home).digest("hex").slice(0, 16);
  return join("/tmp", `flowcall-${name}`);
}

/** Says which folder bars the way: the server's own message names only the file that it did not get to. */
async function checkReachable(folder: string, account: Account): Promise<void> {
  for (let path = dirname(folder); path !== dirname(path); path = dirname(path)) {
    const { uid, gid, mode } = await stat(path);
    const enterBit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & enterBit) === 0) {
      throw new Error(
        `the database runs as the user ${account.name}, who may not enter ${path}: ` +
          "open that folder (chmod o+x) or choose another one with FLOWCALL_DATA_DIR",
      );
    }
  }
}
