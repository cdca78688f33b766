import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { handleStopSignals } from "../process/stop-signals.ts";

// The compile cache lies in this program's own folder: in a shared one, another user could have planted code.
enableCompileCache(join(import.meta.dirname, "../../node_modules/.cache/node"));

// Node's warnings are for the developers of this program, not for its users.
process.removeAllListeners("warning");

// npm runs scripts in the package's folder. INIT_CWD is the folder in which the person typed the command.
const { INIT_CWD } = process.env;
if (process.env["npm_lifecycle_event"] === "flowcall" && INIT_CWD) {
  process.chdir(INIT_CWD);
}

const { runCli } = await import("./run-cli.ts");

const interrupt = new AbortController();
handleStopSignals({
  environment: process.env,
  stop: () => interrupt.abort(),
  end: () => process.exit(1),
});
// EPIPE: the reader (`head`, say) closed the pipe. That is not an error.
process.stdout.on("error", () => process.exit(0));

const exitCode = await runCli({
  words: process.argv.slice(2),
  environment: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupt.signal,
});
process.stdout.write("", () => process.exit(exitCode));
