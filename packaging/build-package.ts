import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { bundle } from "./bundle.ts";
import { type Library, librariesOf, licencesText } from "./licences.ts";
import { publishedManifest } from "./manifest.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");

/** What goes into the package as it is, and where it lies there. */
const copies: Readonly<Record<string, string>> = {
  "packaging/bin": "bin",
  "src/api-docs/api-page": "dist/api-docs/api-page",
  "docs/workflow.schema.json": "docs/workflow.schema.json",
  examples: "examples",
  "README.md": "README.md",
  "CHANGELOG.md": "CHANGELOG.md",
  LICENSE: "LICENSE",
};

/** Makes the package, as npm is to pack it, in a folder. What was there is deleted. Answers the libraries that are in it. */
export async function buildPackage(folder: string): Promise<readonly Library[]> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const libraries = await librariesOf(await bundle(join(folder, "dist")));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  await run(process.execPath, [tsc, "-p", join(root, "packaging"), "--outDir", join(folder, "dist/client")]);
  for (const [from, to] of Object.entries(copies)) {
    await cp(join(root, from), join(folder, to), { recursive: true });
  }
  const manifest = publishedManifest(JSON.parse(await readFile(join(root, "package.json"), "utf8")));
  await writeFile(join(folder, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
  await writeFile(join(folder, "LICENSES.txt"), licencesText(libraries));
  return libraries;
}
