import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * The folder where children keep what Node has compiled of the sources, so that the next one begins faster and with a
 * third less memory. Undefined where there is none that is this user's alone: what it holds is run.
 */
export function cacheFolder(): string | undefined {
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
