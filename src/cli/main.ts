import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { hearStopSignals } from "../process/stop-signals.ts";

// As the server does: compiled code is kept where nobody else can have laid it first.
enableCompileCache(join(import.meta.dirname, "../../node_modules/.cache/node"));

// What Node and libraries would tell a developer of this program is no part of what a command prints.
process.removeAllListeners("warning");

// npm runs a script in the folder of its package; a person means the files of the folder that they are in.
const { INIT_CWD } = process.env;
if (process.env["npm_lifecycle_event"] === "flowcall" && INIT_CWD) process.chdir(INIT_CWD);

const { runCli } = await import("./run-cli.ts");

const enough = new AbortController();
hearStopSignals({
  environment: process.env,
  stop: () => enough.abort(),
  end: () => process.exit(1),
});
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
