import { makeEncryptionKey, readEncryptionKey } from "./encryption-key-file.ts";

export type MasterKeysOptions = {
  /** The keys of FLOWCALL_ENCRYPTION_KEYS. */
  readonly configured: readonly Buffer[];
  /** The data folder of the embedded database; undefined on an external one, which needs configured keys. */
  readonly dataDir: string | undefined;
};

/** The master keys of the envelope encryption: those of the settings, or else one in a file beside the embedded database. */
export class MasterKeys {
  readonly #dataDir: string | undefined;
  #keys: readonly Buffer[];

  constructor({ configured, dataDir }: MasterKeysOptions) {
    this.#keys = configured;
    this.#dataDir = configured.length === 0 ? dataDir : undefined;
  }

  /** The first key encrypts, all of them decrypt. */
  get all(): readonly Buffer[] {
    return this.#keys;
  }

  /**
   * Reads the key of the file, and generates one if there is none.
   * @param check throws if something is encrypted by a missing key: a lost key must not be replaced silently
   */
  async load(check: () => Promise<void>): Promise<void> {
    await this.#read();
    await check();
    if (this.#dataDir === undefined || this.#keys.length > 0) {
      return;
    }
    await makeEncryptionKey(this.#dataDir);
    await this.#read();
  }

  async #read(): Promise<void> {
    const key = this.#dataDir === undefined ? undefined : await readEncryptionKey(this.#dataDir);
    if (key !== undefined) {
      this.#keys = [key];
    }
  }
}
