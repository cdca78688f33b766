import { enableCompileCache } from "node:module";
import { join } from "node:path";

// As the server does: compiled code is kept where nobody else can have laid it first.
enableCompileCache(join(import.meta.dirname, "../../node_modules/.cache/node"));

const { runCli } = await import("./run-cli.ts");

const enough = new AbortController();
process.once("SIGINT", () => enough.abort());
process.once("SIGTERM", () => enough.abort());
// Whoever read the output has read enough of it, as `head` has.
process.stdout.on("error", () => process.exit(0));

const exitCode = await runCli({
  words: process.argv.slice(2),
  environment: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: enough.signal,
});
process.stdout.write("", () => process.exit(exitCode));
