import { access, constants, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { replaceFile } from "../domain/atomic-file.ts";

export type ReadyPaths = {
  /** The file of FLOWCALL_READY_FILE, for supervisors. */
  readonly configured: string | undefined;
  /** The file in the data folder, by which the command line finds the service. */
  readonly own: string | undefined;
};

/** The files that exist while calls are accepted. They hold the URL and the process id. */
export class ReadyFile {
  readonly #configured: string | undefined;
  readonly #paths: readonly string[];
  readonly #written = new Set<string>();

  constructor({ configured, own }: ReadyPaths) {
    this.#configured = configured;
    this.#paths = [own, configured].filter((path) => path !== undefined);
  }

  /** Throws if the configured file cannot be written: better before everything else has started than after it. */
  async check(): Promise<void> {
    const path = this.#configured;
    if (path === undefined) {
      return;
    }
    await access(dirname(path), constants.W_OK).catch((error: unknown) => {
      throw this.#notWritable(path, error);
    });
  }

  async write(url: string): Promise<void> {
    const text = `${JSON.stringify({ url, pid: process.pid })}\n`;
    for (const path of this.#paths) {
      this.#written.add(path);
      await replaceFile(path, { text, mode: 0o644 }).catch((error: unknown) => {
        throw this.#notWritable(path, error);
      });
    }
  }

  /** Removes the files that were written: a start that fails leaves those of another process alone. */
  async remove(): Promise<void> {
    for (const path of this.#written) {
      await rm(path, { force: true });
    }
  }

  #notWritable(path: string, cause: unknown): Error {
    const name = path === this.#configured ? `FLOWCALL_READY_FILE (${path})` : path;
    const folder = dirname(path);
    const isMissing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    return new Error(
      isMissing
        ? `${name} cannot be written: there is no folder ${folder}; create it, or name another file`
        : `${name} cannot be written: let this user write to ${folder}, or name another file`,
      isMissing ? {} : { cause },
    );
  }
}
