// `npm run package`: builds the package and packs it. Prints the name of the file.
import { execFileSync } from "node:child_process";
import { join, resolve } from "node:path";
import { buildPackage } from "./build-package.ts";

const build = resolve(import.meta.dirname, "../build");
const folder = join(build, "package");
await buildPackage(folder);
const [file] = execFileSync("npm", ["pack", folder, "--pack-destination", build, "--silent"], {
  encoding: "utf8",
}).split("\n");
process.stdout.write(`${join(build, file ?? "")}\n`);
