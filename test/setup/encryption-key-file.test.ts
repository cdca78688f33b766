import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeEncryptionKey, readEncryptionKey } from "../../src/setup/encryption-key-file.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowcall-key-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

test("the key is made once, for its owner alone, however many ask", async () => {
  expect(await readEncryptionKey(folder)).toBeUndefined();
  await Promise.all(Array.from({ length: 8 }, () => makeEncryptionKey(folder)));
  const one = await readEncryptionKey(folder);
  await makeEncryptionKey(folder);
  expect(one).toHaveLength(32);
  expect(await readEncryptionKey(folder)).toEqual(one);
  expect((await stat(join(folder, "encryption.key"))).mode & 0o777).toBe(0o600);
});

test("a file that holds no key is refused and left alone", async () => {
  await writeFile(join(folder, "encryption.key"), "nonsense");
  await expect(readEncryptionKey(folder)).rejects.toThrow(/does not hold a key of 32 bytes/);
});
