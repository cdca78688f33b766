import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { runCli } from "../../src/cli/run-cli.ts";

const root = resolve(import.meta.dirname, "../..");

/** How one command line ended. */
export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type CommandOptions = {
  readonly environment?: NodeJS.ProcessEnv;
  readonly input?: string;
  readonly signal?: AbortSignal;
  /** For `runHere`: whether stdout is a terminal, of 24 rows. */
  readonly isTerminal?: boolean;
};

/** The real command, run as a process of its own in a home of its own. */
export class FlowcallCommand {
  readonly home: string;
  readonly #environment: NodeJS.ProcessEnv;

  private constructor(home: string, environment: NodeJS.ProcessEnv) {
    this.home = home;
    this.#environment = environment;
  }

  static async create(environment: NodeJS.ProcessEnv): Promise<FlowcallCommand> {
    return new FlowcallCommand(await mkdtemp(join(tmpdir(), "flowcall-cli-")), environment);
  }

  /** The variables that a process of it sees: none of this process's own settings. */
  environment(own: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    const { PATH, HOME } = process.env;
    const folders = { XDG_CONFIG_HOME: join(this.home, "config"), FLOWCALL_DATA_DIR: join(this.home, ".flowcall") };
    return { PATH, HOME, ...folders, ...this.#environment, ...own };
  }

  spawn(words: readonly string[], { environment, signal }: CommandOptions = {}) {
    return spawn(process.execPath, [join(root, "src/cli/main.ts"), ...words], {
      cwd: this.home,
      env: this.environment(environment),
      ...(signal !== undefined && { signal }),
    });
  }

  /** The same as people start it in a clone. */
  spawnByNpm(words: readonly string[], { environment }: CommandOptions = {}) {
    return spawn("npm", ["--prefix", root, "run", "-s", "flowcall", "--", ...words], {
      cwd: this.home,
      env: this.environment(environment),
    });
  }

  async run(words: readonly string[], options: CommandOptions = {}): Promise<Ended> {
    const child = this.spawn(words, options);
    const exited = once(child, "exit");
    child.stdin.end(options.input ?? "");
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
    return { code, stdout, stderr };
  }

  /** The same without a process of its own, for what needs none: many lines cost little. */
  async runHere(
    words: readonly string[],
    { environment, input = "", isTerminal = false }: CommandOptions = {},
  ): Promise<Ended> {
    const [stdout, stderr]: [string[], string[]] = [[], []];
    const code = await runCli({
      words,
      environment: this.environment(environment),
      stdin: Readable.from([input]),
      stdout: { write: (text) => stdout.push(text), isTTY: isTerminal, rows: 24, columns: 100 },
      stderr: { write: (text) => stderr.push(text) },
      signal: new AbortController().signal,
    });
    return { code, stdout: stdout.join(""), stderr: stderr.join("") };
  }

  async remove(): Promise<void> {
    await rm(this.home, { recursive: true, force: true });
  }
}
