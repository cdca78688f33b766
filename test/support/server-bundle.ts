import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { type Plugin, rolldown } from "rolldown";
import { until } from "./eventually.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = join(root, "node_modules/.cache/flowcall-bundle");

/** What the programs are made of. */
const sources = ["src", "test/faults", "test/support", "package-lock.json"];

const programs = { main: "src/main.ts", composed: "test/faults/composed-server.ts" };
const bundles = Object.keys(programs).map((name) => join(folder, `${name}.js`));

/** Longer than a bundle takes on any machine: whoever locked the folder is gone. */
const staleMs = 60_000;

let made: Promise<void> | undefined;

/**
 * A program of the service in one file, made anew where its sources have changed: it starts in half the time that the
 * loader takes for a thousand modules, and tests start it hundreds of times. Answers any other program as it is.
 */
export async function bundleOf(program: string): Promise<string> {
  const index = Object.values(programs).indexOf(program);
  if (index < 0) {
    return program;
  }
  made ??= makeBundles();
  await made;
  return bundles[index] ?? program;
}

/** Several workers of vitest may come here at once: one of them makes the bundles, and the others wait. */
async function makeBundles(): Promise<void> {
  const lock = `${folder}.lock`;
  await mkdir(dirname(lock), { recursive: true });
  await until("the bundles of the service are made", async () => (await areFresh()) || (await makeAlone(lock)), {
    withinMs: 2 * staleMs,
    everyMs: 100,
  });
}

async function makeAlone(lock: string): Promise<boolean> {
  const held = await open(lock, "wx").catch(() => undefined);
  if (held === undefined) {
    if (Date.now() - (await stat(lock)).mtimeMs > staleMs) {
      await rm(lock, { force: true });
    }
    return false;
  }
  try {
    await bundle();
    return true;
  } finally {
    await held.close();
    await rm(lock, { force: true });
  }
}

async function bundle(): Promise<void> {
  const fresh = `${folder}.new`;
  await rm(fresh, { recursive: true, force: true });
  const input = Object.fromEntries(Object.entries(programs).map(([name, file]) => [name, join(root, file)]));
  const built = await rolldown({ input, platform: "node", plugins: [ownPlaces], external: [/^pg-native$/] });
  await built.write({ dir: fresh, format: "esm", keepNames: true });
  await built.close();
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
}

/** Each module finds the files beside it where it lies in the sources. */
const ownPlaces: Plugin = {
  name: "own-places",
  transform: (code, id) => {
    if (!isAbsolute(id) || !code.includes("import.meta.")) {
      return null;
    }
    return code
      .replaceAll("import.meta.dirname", JSON.stringify(dirname(id)))
      .replaceAll("import.meta.filename", JSON.stringify(id))
      .replaceAll("import.meta.url", JSON.stringify(`file://${id}`));
  },
};

async function areFresh(): Promise<boolean> {
  const times = await Promise.all(bundles.map(modifiedAt));
  const changes = (await Promise.all(sources.map((name) => newestIn(join(root, name))))).flat();
  return Math.min(...times) > Math.max(...changes);
}

async function newestIn(place: string): Promise<readonly number[]> {
  const names = (await stat(place)).isDirectory() ? await readdir(place, { recursive: true }) : [];
  return await Promise.all([place, ...names.map((name) => join(place, name))].map(modifiedAt));
}

/** 0 where there is none. */
async function modifiedAt(file: string): Promise<number> {
  return await stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}
