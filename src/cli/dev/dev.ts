import { readFile } from "node:fs/promises";
import { commandName } from "../../process/program-names.ts";
import { readVersion } from "../../process/version.ts";
import type { Command } from "../command/command.ts";
import type { Context } from "../command/context.ts";
import { CliError, usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { findLocalServer } from "../settings/local-server.ts";
import { resultText } from "../workflow-sync/apply-push.ts";
import { type DevServer, egressDefault, startDevServer } from "./dev-server.ts";
import { checkFolder, pushOnChange } from "./push-on-change.ts";

export const dev: Command = {
  name: "dev",
  summary: "Starts the server, and pushes and publishes a folder's workflow files whenever they change.",
  positionals: ["FOLDER?"],
  options: {},
  example: "flowcall dev flows",

  async run(given, context) {
    const [folder] = given.positionals;
    if (folder !== undefined) {
      await checkFolder(folder);
    }
    const server = await startDevServer(context);
    try {
      await showServer(server, context);
      if (folder !== undefined) {
        const results = pushOnChange(folder, await contextOf(server, context), server.ended);
        await context.output.stream(results, (result) => result, resultText);
      }
      const code = await server.exitCode;
      if (!context.signal.aborted && code !== 0) {
        throw new CliError(`The server ended by itself with the status ${code}.`);
      }
      return exitCodes.done;
    } finally {
      await server.stop();
    }
  },
};

/** Shows how to call the server: by this command line where it finds the server, else by the server's welcome text. */
async function showServer(server: DevServer, { environment, output, store }: Context): Promise<void> {
  const { url, dataDir, examples, mayCallHere } = server;
  const [local, { current }] = [await findLocalServer(environment), await store.read()];
  if (local?.url !== url) {
    server.showWelcome();
    return;
  }
  const named = environment["FLOWCALL_PROFILE"] || current;
  const byUrl = named === undefined && !environment["FLOWCALL_URL"] ? "" : ` --url ${url}`;
  const flowcall = commandName("flowcall", environment);
  const egress = mayCallHere
    ? `\n  HTTP nodes  may call this machine too (FLOWCALL_EGRESS_ALLOW=${egressDefault})`
    : "";
  const [account, call] = examples
    ? ["john@acme.io", `create-task --sync -d '{"Task Name": "Sample task"}'`]
    : ["ACCOUNT", "ALIAS --sync"];
  const why = named === undefined ? "" : ` (--url, since the profile ${named} is in use)`;
  output.note(`
Flowcall ${readVersion()} runs at ${url}

  API page    ${url}/docs
  data, keys  ${dataDir}${egress}

In another terminal, in this folder, without a key${why}:

  export FLOWCALL_ACCOUNT=${account}
  ${flowcall} workflow ls${byUrl}
  ${flowcall} run ${call}${byUrl}
`);
}

/** Calls the new server with FLOWCALL_API_KEY, or with the test key that the server wrote into its data folder. */
async function contextOf({ url, keysFile }: DevServer, context: Context): Promise<Context> {
  const text = await readFile(keysFile, "utf8").catch(() => "{}");
  const key = context.environment["FLOWCALL_API_KEY"] || JSON.parse(text).test;
  if (typeof key !== "string") {
    throw usageError(`There is no key to push with: ${keysFile} holds none. Set FLOWCALL_API_KEY.`);
  }
  const settings = { url, key };
  const connect = async () => new (await import("../client/client.ts")).Client(settings);
  return { ...context, settings, connect };
}
