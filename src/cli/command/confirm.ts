import { once } from "node:events";
import { createInterface } from "node:readline";
import { usageError } from "../output/cli-error.ts";
import type { Context } from "./context.ts";

/** Asks the person at the terminal. Throws a usage error where there is no terminal. */
export async function isConfirmed({ stdin, output }: Context): Promise<boolean> {
  if (stdin.isTTY !== true || output.stderr.isTTY !== true) {
    throw usageError(
      "Nothing was changed, since there is no terminal to ask at. Use --yes to do it, or --dry-run to see it.",
    );
  }
  output.stderr.write("Do it? [y/N] ");
  const lines = createInterface({ input: stdin });
  const [answer] = await Promise.race([once(lines, "line"), once(lines, "close").then(() => [""])]);
  lines.close();
  return /^y(es)?$/i.test(String(answer).trim());
}
