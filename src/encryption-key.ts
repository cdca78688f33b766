import { randomBytes } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The key of an embedded database: made at the first start, and kept beside the database for its owner alone. */
export async function readEncryptionKey(dataDir: string): Promise<Buffer> {
  const file = join(dataDir, "encryption.key");
  const made = `${file}.${randomBytes(8).toString("hex")}`;
  await writeFile(made, `${randomBytes(32).toString("base64")}\n`, { flag: "wx", mode: 0o600 });
  try {
    // Whole at once, and never in the place of one that is there.
    await link(made, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    await rm(made);
  }
  const key = Buffer.from((await readFile(file, "utf8")).trim(), "base64");
  if (key.length !== 32) throw new Error(`${file} cannot be read as the key of 32 bytes that it should hold`);
  return key;
}
