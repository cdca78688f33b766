import { access, constants, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { writeWholeFile } from "./whole-file.ts";

/** The file of FLOWCALL_READY_FILE, by which a supervisor sees that calls are accepted; none where that is not set. */
export class ReadyFile {
  readonly #path: string | undefined;

  constructor(path: string | undefined) {
    this.#path = path;
  }

  /** Throws where it could not be written later, when all else has begun. */
  async check(): Promise<void> {
    if (this.#path === undefined) return;
    await access(dirname(this.#path), constants.W_OK).catch((error: unknown) => {
      throw this.#problem(error);
    });
  }

  async write(url: string): Promise<void> {
    if (this.#path === undefined) return;
    const text = `${JSON.stringify({ url, pid: process.pid })}\n`;
    await writeWholeFile(this.#path, { text, mode: 0o644 }).catch((error: unknown) => {
      throw this.#problem(error);
    });
  }

  async remove(): Promise<void> {
    if (this.#path !== undefined) await rm(this.#path, { force: true });
  }

  #problem(cause: unknown): Error {
    return new Error(`FLOWCALL_READY_FILE (${this.#path}) cannot be written`, { cause });
  }
}
