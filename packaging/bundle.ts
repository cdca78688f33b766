import { readdir } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { type Plugin, rolldown } from "rolldown";

const root = resolve(import.meta.dirname, "..");
const sources = join(root, "src");

/** What is found in the installed package when it runs: WebAssembly, and what a platform may lack. */
export const externals = ["@jitl/quickjs-wasmfile-release-sync"];
const external = [...externals, "pg-native", "pg-cloudflare"];

/** The programs and the client, by the file of the bundle. A child process is started by its own file. */
const programs = {
  main: "main.ts",
  cli: "cli/main.ts",
  admin: "admin/main.ts",
  "engine/child/pool-child": "engine/child/pool-child.ts",
  "client/client": "client/client.ts",
};

/**
 * Bundles the programs with the libraries that they use into a folder: to load a thousand modules takes Node twice as long as
 * the rest of a start. Answers the files of `node_modules` that went into it.
 */
export async function bundle(folder: string): Promise<readonly string[]> {
  const generated = (await readdir(join(sources, "gen"), { recursive: true })).filter((file) => /_pb\.ts$/.test(file));
  // The command line reads this folder to find the methods.
  const gen = generated.map((file) => [`gen/${file.slice(0, -3)}`, `gen/${file}`]);
  const entries = [...Object.entries(programs), ...gen];
  const built = await rolldown({
    input: Object.fromEntries(entries.map(([name, file]) => [name, join(sources, file ?? "")])),
    platform: "node",
    external,
    plugins: [places],
  });
  const { output } = await built.write({ dir: folder, format: "esm", keepNames: true });
  await built.close();
  const files = output.flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
  return [...new Set(files)].filter((file) => file.startsWith(join(root, "node_modules/")));
}

/** Sources find the files beside them by their own folder. In the bundle all that do so are in the folder of the bundle. */
const places: Plugin = {
  name: "places",
  transform: (code, id) =>
    id.startsWith(sources) && code.includes("import.meta.dirname")
      ? code.replaceAll(
          "import.meta.dirname",
          `(import.meta.dirname + ${JSON.stringify(`/${relative(sources, dirname(id))}`)})`,
        )
      : null,
  generateBundle: (_, files) => {
    for (const [name, file] of Object.entries(files)) {
      if (name.includes("/") && file.type === "chunk" && file.code.includes("import.meta.dirname")) {
        throw new Error(`${name} looks for files beside it, and is not in the folder of the bundle`);
      }
    }
  },
};
