import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * The folder of Node's compile cache, with which a child starts faster and needs a third less memory. Node runs the code in it,
 * so the folder must belong to this user alone; undefined where it does not, since another user of the machine may have
 * planted it.
 */
export function compileCacheFolder(): string | undefined {
  const userId = process.getuid?.();
  const folder = join(tmpdir(), `flowcall-compiled-${userId ?? "user"}`);
  try {
    mkdirSync(folder, { mode: 0o700, recursive: true });
    const found = lstatSync(folder);
    const isOwn = userId === undefined || (found.uid === userId && (found.mode & 0o077) === 0);
    return found.isDirectory() && isOwn ? folder : undefined;
  } catch {
    return undefined;
  }
}
