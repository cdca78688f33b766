import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { replaceFile } from "../../src/domain/atomic-file.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowcall-atomic-file-"));
});

afterAll(() => rm(folder, { recursive: true }));

test("a file is written through no link that somebody has laid, neither at its name nor at one that it has before", async () => {
  const [file, precious] = [join(folder, "keys.json"), join(folder, "precious")];
  await writeFile(precious, "precious");
  for (const name of [file, `${file}.${process.pid}`, `${file}.new`]) {
    await symlink(precious, name);
  }
  await replaceFile(file, { text: "keys", mode: 0o600 });
  expect(await readFile(precious, "utf8")).toBe("precious");
  expect(await readFile(file, "utf8")).toBe("keys");
});

test("a file has the mode that is asked for, whatever the mask of the process is, and leaves nothing beside it", async () => {
  const before = await readdir(folder);
  const mask = process.umask(0o777);
  try {
    await replaceFile(join(folder, "public"), { text: "", mode: 0o644 });
    await replaceFile(join(folder, "private"), { text: "", mode: 0o600 });
  } finally {
    process.umask(mask);
  }
  const modeOf = async (name: string) => (await stat(join(folder, name))).mode & 0o777;
  expect([await modeOf("public"), await modeOf("private")]).toEqual([0o644, 0o600]);
  expect((await readdir(folder)).sort()).toEqual([...before, "private", "public"].sort());
});
