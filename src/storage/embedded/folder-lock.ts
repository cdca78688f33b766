import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * An exclusive lock on a folder, against a second Flowcall. Node has no file locks, and SQLite has: the kernel releases them
 * however the process ends, so that nobody has to guess whether the process of a pid file is still alive.
 */
export class FolderLock {
  readonly #lock: DatabaseSync;

  /** Throws FolderInUse when another process, or another part of this one, has the lock. */
  constructor(folder: string) {
    const ownerFile = join(folder, "owner.pid");
    this.#lock = new DatabaseSync(join(folder, "lock"));
    try {
      this.#lock.exec("begin exclusive");
    } catch (error) {
      this.#lock.close();
      if (!(error instanceof Error && "errcode" in error && error.errcode === busyCode)) {
        throw error;
      }
      throw new FolderInUse(
        `another Flowcall (process ${readOwner(ownerFile)}) uses the folder ${folder}: stop it, choose another folder ` +
          "with FLOWCALL_DATA_DIR, or let both share one database with FLOWCALL_DATABASE_URL",
        { cause: error },
      );
    }
    writeFileSync(ownerFile, String(process.pid));
  }

  release(): void {
    this.#lock.close();
  }
}

/** Another Flowcall uses the folder. */
export class FolderInUse extends Error {}

/** SQLITE_BUSY: another process has the lock. */
const busyCode = 5;

/** The pid is for the message alone. */
function readOwner(ownerFile: string): string {
  try {
    return readFileSync(ownerFile, "utf8");
  } catch {
    return "unknown";
  }
}
