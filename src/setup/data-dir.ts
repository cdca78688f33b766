import { createHash } from "node:crypto";
import { join } from "node:path";

export const dataDirName = ".flowcall";

/**
 * The default of FLOWCALL_DATA_DIR for a service that is started in a folder. As root, the database runs as another user
 * who cannot enter most folders, so that the files are in one that this user can enter.
 */
export function dataDirDefault(workingDir: string, isRoot: boolean): string {
  if (!isRoot) {
    return dataDirName;
  }
  return join("/var/lib/flowcall", createHash("sha256").update(workingDir).digest("hex").slice(0, 12));
}

/** The file with the keys of the first organisation. */
export function keysFileIn(dataDir: string): string {
  return join(dataDir, "keys.json");
}

/** The file that tells where the service on an embedded database can be reached while it runs: `{"url", "pid"}`. */
export function runningFileIn(dataDir: string): string {
  return join(dataDir, "running.json");
}
