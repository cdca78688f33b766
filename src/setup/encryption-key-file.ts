import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createFile } from "../domain/atomic-file.ts";

/** Reads the master key of an embedded database, which lies in its data folder. Undefined if there is none. */
export async function readEncryptionKey(dataDir: string): Promise<Buffer | undefined> {
  const file = fileOf(dataDir);
  try {
    const key = Buffer.from((await readFile(file, "utf8")).trim(), "base64");
    if (key.length !== 32) {
      throw new Error(`${file} does not hold a key of 32 bytes in Base64`);
    }
    return key;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}

/** Generates the master key at the first start. A key that exists stays. */
export async function makeEncryptionKey(dataDir: string): Promise<void> {
  await createFile(fileOf(dataDir), { text: `${randomBytes(32).toString("base64")}\n`, mode: 0o600 });
}

function fileOf(dataDir: string): string {
  return join(dataDir, "encryption.key");
}
