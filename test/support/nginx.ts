import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import tls from "node:tls";
import { selfSigned } from "../engine/http/certificate.ts";
import { freePort } from "./free-port.ts";

/** Debian's; CI installs it (`.ci/run`). */
const program = "/usr/sbin/nginx";

export const isNginxLeftOut = !existsSync(program) && process.env["CI"] === undefined;

export const nginxFile = resolve(import.meta.dirname, "../../docs/nginx.conf");

/** The addresses that the documented file names. */
const documentedServers = ["10.0.0.11:4180", "10.0.0.12:4180"];

export type Nginx = {
  readonly url: string;
  /** What it complained of. */
  readonly log: readonly string[];
  stop(): Promise<void>;
};

/**
 * Runs the documented file in front of two servers (`host:port`). From then on its certificate is the one that this
 * process trusts; no test asks for another.
 */
export async function startNginx(servers: readonly [string, string]): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), "flowcall-nginx-"));
  const port = await freePort();
  const { key, cert } = selfSigned({ dns: ["localhost"], ipv4: ["127.0.0.1"] });
  let site = await readFile(nginxFile, "utf8");
  const changes = [
    ["listen 443 ", `listen 127.0.0.1:${port} `],
    ["/etc/ssl/", `${folder}/`],
    ...documentedServers.map((server, index) => [server, servers[index] ?? ""]),
  ];
  for (const [from = "", to = ""] of changes) {
    if (!site.includes(from)) {
      throw new Error(`the documented file does not say ${from}`);
    }
    site = site.replaceAll(from, to);
  }
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const main = `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr warn;
    events { worker_connections 1024; }
    http {
      access_log off;
      ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n")}
      include ${folder}/site.conf;
    }`;
  for (const [name, text] of Object.entries({
    "flowcall.crt": cert,
    "flowcall.key": key,
    "site.conf": site,
    main,
  })) {
    await writeFile(join(folder, name), text);
  }
  const log: string[] = [];
  const child = spawn(program, ["-p", folder, "-e", "stderr", "-c", join(folder, "main")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  child.stderr.on("data", (chunk: Buffer) => log.push(chunk.toString()));
  const ended = once(child, "exit");
  const authorities = tls.getCACertificates("default");
  tls.setDefaultCACertificates([...authorities, cert]);
  while (!(await isListening(port))) {
    if (child.exitCode !== null) {
      throw new Error(`nginx ended: ${log.join("")}`);
    }
    await pause(10);
  }
  return {
    url: `https://127.0.0.1:${port}`,
    log,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
      tls.setDefaultCACertificates(authorities);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const { promise, resolve: answer } = Promise.withResolvers<boolean>();
  socket.once("connect", () => answer(true)).once("error", () => answer(false));
  const isConnected = await promise;
  socket.destroy();
  return isConnected;
}
