import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** The licences that our own allows to pass on, in SPDX's spelling. */
export const allowedLicences: readonly string[] = [
  "Apache-2.0",
  "MIT",
  "ISC",
  "BSD-3-Clause",
  "Unlicense",
  "(Apache-2.0 AND BSD-3-Clause)",
];

/** A library that went into the package. */
export type Library = {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly text: string;
};

/** The libraries that files of `node_modules` belong to, with the texts that their licences want to be passed on. */
export async function librariesOf(files: readonly string[]): Promise<readonly Library[]> {
  const folders = new Set(
    files.map((file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? dirname(file)),
  );
  const libraries = await Promise.all([...folders].sort().map(readLibrary));
  return libraries;
}

async function readLibrary(folder: string): Promise<Library> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const names = (await readdir(folder)).filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file)).sort();
  const texts = await Promise.all(names.map((file) => readFile(join(folder, file), "utf8")));
  return { name, version, licence: license, text: texts.map((text) => text.trim()).join("\n\n") };
}

/** The text of the file that the package passes the licences on in. */
export function licencesText(libraries: readonly Library[]): string {
  const parts = libraries.map(({ name, version, licence, text }) => `## ${name} ${version} (${licence})\n\n${text}\n`);
  return `Flowcall's package contains these libraries. The text of Apache-2.0 is in the file LICENSE.\n\n${parts.join("\n")}`;
}
