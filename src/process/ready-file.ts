import { access, constants, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { writeWholeFile } from "../domain/atomic-file.ts";

export type ReadyPaths = {
  /** The file of FLOWCALL_READY_FILE, by which a supervisor sees that calls are accepted. */
  readonly told: string | undefined;
  /** The one by which the command line finds the service of a folder. */
  readonly own: string | undefined;
};

/** The files that are there while calls are accepted, and say where. */
export class ReadyFile {
  readonly #told: string | undefined;
  readonly #paths: readonly string[];

  constructor({ told, own }: ReadyPaths) {
    this.#told = told;
    this.#paths = [own, told].filter((path) => path !== undefined);
  }

  /** Throws where the file that was told could not be written later, when all else has begun. */
  async check(): Promise<void> {
    if (this.#told === undefined) return;
    await access(dirname(this.#told), constants.W_OK).catch((error: unknown) => {
      throw this.#problem(this.#told, error);
    });
  }

  async write(url: string): Promise<void> {
    const text = `${JSON.stringify({ url, pid: process.pid })}\n`;
    for (const path of this.#paths) {
      await writeWholeFile(path, { text, mode: 0o644 }).catch((error: unknown) => {
        throw this.#problem(path, error);
      });
    }
  }

  async remove(): Promise<void> {
    for (const path of this.#paths) await rm(path, { force: true });
  }

  #problem(path: string | undefined, cause: unknown): Error {
    const name = path === this.#told ? `FLOWCALL_READY_FILE (${path})` : path;
    return new Error(`${name} cannot be written`, { cause });
  }
}
