import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { expect, test } from "vitest";
import { App } from "../src/app.ts";
import { readConfig } from "../src/config.ts";
import { testKey } from "./support/flowcall.ts";
import { freePort } from "./support/free-port.ts";

const run = promisify(execFile);

/** Debian's server, the oldest release that is supported; CI installs it (`.ci/run`). */
const programs = "/usr/lib/postgresql/15/bin";

/** Postgres does not run as root: where we are root it runs as the user that Debian makes for it. */
async function databaseAccount(): Promise<{ readonly uid?: number; readonly gid?: number }> {
  if (userInfo().uid !== 0) {
    return {};
  }
  const [uid, gid] = await Promise.all(
    ["-u", "-g"].map(async (flag) => Number((await run("id", [flag, "postgres"])).stdout)),
  );
  return { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
}

test.skipIf(!existsSync(programs) && process.env["CI"] === undefined)(
  "the service runs on a PostgreSQL 15 of one's own",
  async () => {
    const account = await databaseAccount();
    const folder = await mkdtemp(join(tmpdir(), "flowcall-external-"));
    if (account.uid !== undefined && account.gid !== undefined) {
      await chown(folder, account.uid, account.gid);
    }
    const data = join(folder, "data");
    const port = await freePort();
    await run(
      join(programs, "initdb"),
      ["-D", data, "-U", "flowcall", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
      account,
    );
    await appendFile(
      join(data, "postgresql.conf"),
      `port = ${port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n`,
    );
    const server = spawn(join(programs, "postgres"), ["-D", data], { ...account, stdio: "ignore" });
    const ended = once(server, "exit");
    const config = readConfig({
      FLOWCALL_PORT: "0",
      FLOWCALL_DATABASE_URL: `postgres://flowcall@127.0.0.1:${port}/postgres`,
      FLOWCALL_DATA_DIR: join(folder, "flowcall"),
      FLOWCALL_EXAMPLES: "true",
      FLOWCALL_TEST_KEY: testKey,
    });
    const app = new App({ config, log: pino({ level: "silent" }) });
    try {
      await app.start();
      const headers = { "x-api-key": testKey, linked_account_id: "john@acme.io" };
      const execute = (alias: string, more: object) =>
        fetch(`${app.url}/api/v1/workflow/${alias}/execute`, { method: "POST", headers: { ...headers, ...more } });
      expect((await execute("create-task", { sync_execution: "true" })).status).toBe(200);
      expect((await execute("slow-task", {})).status).toBe(200);
    } finally {
      await app.stop();
      server.kill("SIGINT");
      await ended;
      await rm(folder, { recursive: true, force: true });
    }
  },
);
