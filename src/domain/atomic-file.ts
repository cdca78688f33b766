import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";

/**
 * Puts a file in its place, whole: who reads it finds all of it, or the one before. As root the folder may belong to the
 * database's user, or to everybody: the new file has a name that nobody knows before and is made by O_EXCL, which follows
 * no link, so that nothing is ever written through a link that somebody has laid there (a symlink attack).
 */
export async function writeWholeFile(
  file: string,
  { text, mode }: { readonly text: string; readonly mode: number },
): Promise<void> {
  const partial = `${file}.${randomBytes(8).toString("hex")}`;
  const handle = await open(partial, "wx", mode);
  try {
    // Of the open file, and not of whatever has its name by now; the mask of the process does not count.
    await handle.chmod(mode);
    await handle.writeFile(text);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await rename(partial, file);
}
