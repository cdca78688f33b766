import type { Config } from "../config.ts";
import { keysFileIn } from "../setup/data-dir.ts";
import type { Started } from "../setup/prepare-tenants.ts";
import { type ProgramNames, programNames } from "./program-names.ts";

export type Welcome = {
  readonly config: Config;
  readonly url: string;
  readonly version: string;
  readonly started: Started;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

/** The message for a person who has just started the service: where everything is, and which commands to try. */
export function welcome({ config, url, version, started, environment }: Welcome): string {
  const names = programNames(environment);
  return `
Flowcall ${version} runs at ${url}

  API page      ${url}/docs
  command line  ${names.flowcall} --help
  database      ${databaseText(config)}

${keysText(config, started, names)}
${callsText(config, url, started)}`;
}

function databaseText({ databaseUrl, dataDir }: Config): string {
  if (databaseUrl === undefined) {
    return `the embedded Postgres, in ${dataDir}`;
  }
  const { host, pathname } = new URL(databaseUrl);
  return `${decodeURIComponent(pathname.slice(1))} at ${host || "this machine"}`;
}

function keysText(config: Config, { firstKeys, keys }: Started, { admin }: ProgramNames): string {
  if (firstKeys !== undefined) {
    return `The first organisation's keys, shown only now and kept in ${keysFileIn(config.dataDir)}:
  test        ${firstKeys.test}
  production  ${firstKeys.production}
`;
  }
  if (keys.length === 0) {
    return `This process has no key that the database accepts. If you have lost yours, create another one as the operator:
  ${admin} key create --help
`;
  }
  const lines = keys.map(
    ({ environment, source }) =>
      `  ${environment.padEnd(11)} ${"file" in source ? source.file : shellText(config, source.variable)}`,
  );
  return `Keys that the database accepts:\n${lines.join("\n")}\n`;
}

/** How a shell gets a secret of the settings. */
function shellText({ given }: Config, variable: string): string {
  const file = given[`${variable}_FILE`];
  return file === undefined ? `$${variable}` : `$(cat ${file})`;
}

function callsText(config: Config, url: string, { keys, exampleEnvironmentIds }: Started): string {
  const key = keys.find(({ environment }) => environment === "test");
  if (key === undefined) {
    return "";
  }
  const take =
    "file" in key.source
      ? `export KEY=$(node -p 'JSON.parse(fs.readFileSync("${key.source.file}")).test')`
      : `export KEY=${shellText(config, key.source.variable)}`;
  if (!exampleEnvironmentIds.some((id) => id === key.environmentId)) {
    return `In another terminal, take the test key and see which workflows there are:

  ${take}
  curl -sS ${url}/api/v1/workflow -H "x-api-key: $KEY"

`;
  }
  return `In another terminal, take the test key and run a workflow, waiting for its value:

  ${take}
  curl -sS -X POST ${url}/api/v1/workflow/create-task/execute \\
    -H "x-api-key: $KEY" -H "linked_account_id: john@acme.io" -H "slug: asana" -H "sync_execution: true" \\
    -H "content-type: application/json" -d '{"Task Name": "Sample task", "Assigned_to": "John Doe"}'

or without waiting, and ask for the response by the execution_id that it answers:

  curl -sS ${url}/api/v1/execution/EXECUTION_ID/response -H "x-api-key: $KEY" -H "linked_account_id: john@acme.io"

`;
}
