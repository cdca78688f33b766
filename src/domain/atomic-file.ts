import { randomBytes } from "node:crypto";
import { link, open, rename, rm } from "node:fs/promises";

export type FileContent = {
  readonly text: string;
  /** The permissions, as 0o600; the umask of the process does not apply. */
  readonly mode: number;
};

/** Replaces a file atomically: a reader finds all of the new one, or all of the one before. */
export async function replaceFile(file: string, content: FileContent): Promise<void> {
  await rename(await writeTemporary(file, content), file);
}

/** Creates a file atomically. A file that exists stays as it is. */
export async function createFile(file: string, content: FileContent): Promise<void> {
  const temporary = await writeTemporary(file, content);
  try {
    // Unlike `rename`, `link` never replaces a file.
    await link(temporary, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) {
      throw error;
    }
  } finally {
    await rm(temporary);
  }
}

/**
 * Writes a new file beside the one that it is for. The folder may belong to another user: against symlink attacks the name
 * cannot be guessed, and O_EXCL ("wx") follows no link.
 */
async function writeTemporary(file: string, { text, mode }: FileContent): Promise<string> {
  const temporary = `${file}.${randomBytes(8).toString("hex")}`;
  const handle = await open(temporary, "wx", mode);
  try {
    // By the handle, since the name may belong to another file by now.
    await handle.chmod(mode);
    await handle.writeFile(text);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  return temporary;
}
