import { createHash } from "node:crypto";
import { join } from "node:path";

export const dataDirName = ".flowcall";

/**
 * Where the service that was started in a folder keeps its files, if FLOWCALL_DATA_DIR is not set. As root the database
 * runs as another user, who could not enter most folders: so the files go where it can.
 */
export function dataDirDefault(workingDir: string, isRoot: boolean): string {
  if (!isRoot) return dataDirName;
  return join("/var/lib/flowcall", createHash("sha256").update(workingDir).digest("hex").slice(0, 12));
}

/** The keys of the first organisation, for whoever may read the data folder. */
export function keysFileIn(dataDir: string): string {
  return join(dataDir, "keys.json");
}

/** Where the service on an embedded database is reached while it runs: `{"url", "pid"}`. */
export function runningFileIn(dataDir: string): string {
  return join(dataDir, "running.json");
}
