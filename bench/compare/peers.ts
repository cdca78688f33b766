// DBOS and Restate, each with the same work in its own way. They are installed into a folder under the system's temporary
// one, and only where somebody asks for them.

import { execFile, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../../test/support/free-port.ts";
import { end, payload, type Target, untilReady } from "./target.ts";

const versions = {
  "@dbos-inc/dbos-sdk": "5.3.0",
  "@restatedev/restate-sdk": "1.17.2",
  "@restatedev/restate-server": "1.7.12",
};

/** Installs the peers, where that was not done; the folder that they are in. */
export async function installPeers(): Promise<string> {
  const folder = join(tmpdir(), "flowcall-bench-peers");
  const manifest = JSON.stringify({ type: "module", private: true, dependencies: versions });
  if (
    await access(join(folder, "node_modules/@restatedev/restate-sdk")).then(
      () => true,
      () => false,
    )
  ) {
    return folder;
  }
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "package.json"), manifest);
  await promisify(execFile)("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: folder });
  return folder;
}

/** @param withStep whether the work is a step of its own, which is recorded */
export async function startDbos(peers: string, withStep: boolean): Promise<Target> {
  const child = fork(join(import.meta.dirname, "dbos-server.ts"), [peers, withStep ? "step" : "none"], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const [{ port, problem }] = await Promise.race([
    once(child, "message"),
    once(child, "exit").then(() => [{ problem: "it ended" }]),
  ]);
  if (problem !== undefined || child.pid === undefined) {
    await end(child);
    throw new Error(`DBOS does not start: ${problem}`);
  }
  const call = (path: string) =>
    ({ protocol: "http", url: `http://127.0.0.1:${port}/${path}`, headers: {}, body: payload }) as const;
  return {
    name: withStep ? "DBOS, a step" : "DBOS, no step",
    about: `@dbos-inc/dbos-sdk ${versions["@dbos-inc/dbos-sdk"]} behind node:http, on an embedded Postgres (fsync and synchronous_commit on)`,
    calls: { sync: call("sync"), async: call("async") },
    rootPid: child.pid,
    pending: async () => Number(await (await fetch(`http://127.0.0.1:${port}/pending`)).text()),
    stop: () => end(child),
  };
}

/** @param withStep whether the work is a step of its own, which is recorded */
export async function startRestate(peers: string, withStep: boolean): Promise<Target> {
  const [service, fabric, ingress, admin] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const base = await mkdtemp(join(tmpdir(), "flowcall-bench-restate-"));
  const config = join(base, "restate.toml");
  await writeFile(
    config,
    `bind-ip = "127.0.0.1"
listen-mode = "tcp"
bind-port = ${fabric}
node-name = "bench"
cluster-name = "bench"
base-dir = "${join(base, "data")}"
disable-telemetry = true
default-num-partitions = 4
log-filter = "warn"
[ingress]
bind-ip = "127.0.0.1"
bind-port = ${ingress}
[admin]
bind-ip = "127.0.0.1"
bind-port = ${admin}
disable-web-ui = true
`,
  );
  const binary = join(
    peers,
    `node_modules/@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`,
  );
  const child = spawn(
    "sh",
    [
      "-c",
      '"$0" -c "$1" --no-logo & exec "$2" "$3" "$4" "$5" "$6"',
      binary,
      config,
      process.execPath,
      join(import.meta.dirname, "restate-service.ts"),
      peers,
      String(service),
      withStep ? "step" : "none",
    ],
    {
      detached: true,
      stdio: ["ignore", "ignore", "ignore"],
    },
  );
  const stop = async () => {
    await end(child);
    await rm(base, { recursive: true, force: true });
  };
  const json = { "content-type": "application/json", accept: "application/json" };
  const post = (path: string, body: unknown) =>
    fetch(`http://127.0.0.1:${admin}/${path}`, { method: "POST", headers: json, body: JSON.stringify(body) });
  try {
    await untilReady(child, async () => (await post("deployments", { uri: `http://127.0.0.1:${service}` })).ok);
  } catch (error) {
    await stop();
    throw error;
  }
  const call = (path: string) =>
    ({ protocol: "http", url: `http://127.0.0.1:${ingress}/Exec/${path}`, headers: {}, body: payload }) as const;
  return {
    name: withStep ? "Restate, a step" : "Restate, no step",
    about: `restate-server ${versions["@restatedev/restate-server"]} with 4 partitions and its own log, restate-sdk ${versions["@restatedev/restate-sdk"]} over HTTP/2`,
    calls: { sync: call("run"), async: call("run/send") },
    rootPid: child.pid ?? 0,
    pending: async () => {
      const query = "select count(*) as n from sys_invocation where status <> 'completed'";
      const { rows } = JSON.parse(await (await post("query", { query })).text());
      return Number(rows[0].n);
    },
    stop,
  };
}
