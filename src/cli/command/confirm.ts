import { once } from "node:events";
import { createInterface } from "node:readline";
import { usageError } from "../output/cli-error.ts";
import type { Context } from "./context.ts";

/** Asks at a terminal. Throws a usage error where nobody is there to answer. */
export async function isConfirmed({ stdin, output }: Context): Promise<boolean> {
  if (stdin.isTTY !== true || output.stderr.isTTY !== true) {
    throw usageError("Nothing was changed, since nobody is there to ask: --yes does it, --dry-run only shows it.");
  }
  output.stderr.write("Do it? [y/N] ");
  const lines = createInterface({ input: stdin });
  const [answer] = await Promise.race([once(lines, "line"), once(lines, "close").then(() => [""])]);
  lines.close();
  return /^y(es)?$/i.test(String(answer).trim());
}
