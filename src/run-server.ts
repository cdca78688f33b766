import { pino } from "pino";
import { App } from "./app.ts";
import { type Config, ConfigError, readConfig } from "./config.ts";
import { keysFileOf } from "./first-run.ts";
import { FreedMemory } from "./freed-memory.ts";

/** How a process that was told wrong ends, by the convention of command lines. */
const usageStatus = 2;

/** The process from its settings to its end: what is started, said, and done on a signal. */
export async function runServer(): Promise<void> {
  const config = configOrExit();
  const log = pino({ level: config.logLevel, base: null }, pino.destination(2));
  const app = new App({ config, log });
  let signals = 0;
  const stop = (signal: string): void => {
    signals += 1;
    if (signals > 1) process.exit(1);
    log.info({ signal }, "stopping; the same signal again ends the process at once");
    app.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, "the process could not stop as it should");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  try {
    await app.start();
  } catch (error) {
    if (signals > 0) return;
    log.fatal({ err: error }, "Flowcall cannot start");
    process.stderr.write(`\nFlowcall cannot start: ${causesOf(error).join("\n  because ")}\n`);
    await app.stop().catch(() => undefined);
    process.exit(1);
  }
  if (signals > 0) return;
  process.stdout.write(welcome(config, app));
  await new FreedMemory().start();
}

function configOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`Flowcall cannot start with these settings:\n  ${error.problems.join("\n  ")}\n`);
    process.exit(usageStatus);
  }
}

function causesOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [String(error)];
  return [error.message, ...(error.cause === undefined ? [] : causesOf(error.cause))];
}

/** What a person sees who has just started it: where it is, where the keys are, and two calls to copy. */
function welcome(config: Config, app: App): string {
  const { url, firstKeys } = app;
  const keysFile = keysFileOf(config);
  const keys =
    firstKeys === undefined
      ? `The keys of the first organisation are in ${keysFile}`
      : `The first organisation's keys, said this once and kept in ${keysFile}:
  test        ${firstKeys.test}
  production  ${firstKeys.production}`;
  return `
Flowcall runs at ${url}
${keys}

In another terminal, take the test key and run a workflow, waiting for its value:

  export KEY=$(node -p 'JSON.parse(fs.readFileSync("${keysFile}")).test')
  curl -sS -X POST ${url}/api/v1/workflow/create-task/execute \\
    -H "x-api-key: $KEY" -H "linked_account_id: john@acme.io" -H "slug: asana" -H "sync_execution: true" \\
    -H "content-type: application/json" -d '{"Task Name": "Sample task", "Assigned_to": "John Doe"}'

or without waiting, and ask for the response by the execution_id that it answers:

  curl -sS ${url}/api/v1/execution/EXECUTION_ID/response -H "x-api-key: $KEY" -H "linked_account_id: john@acme.io"

`;
}
