import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Keeps a second Flowcall away from a folder. Node has no file locks of its own, SQLite has: the kernel lets go of them
 * when the process ends, however it ends, so that nobody has to guess whether a left pid is still somebody's.
 */
export class FolderLock {
  readonly #lock: DatabaseSync;

  /** Throws when another process, or another part of this one, holds the folder. */
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

/** Another Flowcall has the folder. */
export class FolderInUse extends Error {}

/** SQLite's answer where somebody else holds the lock. */
const busyCode = 5;

/** Only for the message; the lock is what counts. */
function readOwner(ownerFile: string): string {
  try {
    return readFileSync(ownerFile, "utf8");
  } catch {
    return "unknown";
  }
}
