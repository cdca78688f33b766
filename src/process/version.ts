import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Reads the version from package.json. */
export function readVersion(): string {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
  return String(version);
}
