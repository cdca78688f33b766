import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The version of this program, as package.json says it. */
export function readVersion(): string {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
  return String(version);
}
