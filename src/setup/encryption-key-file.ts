import { randomBytes } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The key of an embedded database, kept beside it for its owner alone. Undefined where there is none. */
export async function readEncryptionKey(dataDir: string): Promise<Buffer | undefined> {
  const file = fileOf(dataDir);
  try {
    const key = Buffer.from((await readFile(file, "utf8")).trim(), "base64");
    if (key.length !== 32) throw new Error(`${file} cannot be read as the key of 32 bytes that it should hold`);
    return key;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes the key at the first start. One that is there stays. */
export async function makeEncryptionKey(dataDir: string): Promise<void> {
  const file = fileOf(dataDir);
  const made = `${file}.${randomBytes(8).toString("hex")}`;
  await writeFile(made, `${randomBytes(32).toString("base64")}\n`, { mode: 0o600, flag: "wx" });
  try {
    // Whole at once, and never in the place of one that is there.
    await link(made, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    await rm(made);
  }
}

function fileOf(dataDir: string): string {
  return join(dataDir, "encryption.key");
}
