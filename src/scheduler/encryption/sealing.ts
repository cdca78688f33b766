import { createHash, randomBytes } from "node:crypto";
import { decrypt, encrypt, keyBytes } from "./aes-gcm.ts";

/** The data key of one execution, and the same key encrypted ("wrapped") by a master key, as it is stored. */
export type DataKey = { readonly key: Buffer; readonly wrapped: string };

/** An execution needs a master key that this process does not have. With that key it can go on. */
export class MissingKeyError extends Error {
  constructor(executionId: string) {
    super(`no encryption key opens what the execution ${executionId} has sealed`);
    this.name = "MissingKeyError";
  }
}

/**
 * Envelope encryption, against whoever reads the database or a backup of it. Master keys encrypt credentials and the
 * data keys of executions; the data key of an execution encrypts what its nodes hide. A data key is stored with the
 * execution's claim and deleted with it, so that nobody can read hidden outputs once the execution has ended.
 */
export class Sealing {
  readonly #masterKeys: () => readonly Buffer[];

  /** @param masterKeys gives keys of 32 bytes; the first one encrypts, the others only decrypt (key rotation) */
  constructor(masterKeys: () => readonly Buffer[]) {
    this.#masterKeys = masterKeys;
  }

  get canSeal(): boolean {
    return this.#masterKeys().length > 0;
  }

  /** A fingerprint of the master key that encrypts. It reveals nothing of the key. */
  get keyName(): string {
    return nameOf(this.#masterKey());
  }

  /** The fingerprints of all master keys. */
  get keyNames(): readonly string[] {
    return this.#masterKeys().map(nameOf);
  }

  seal(bytes: Buffer, context: string): string {
    return encrypt(bytes, this.#masterKey(), context);
  }

  /** Undefined where no master key decrypts it in this context. */
  open(sealed: string, context: string): Buffer | undefined {
    for (const masterKey of this.#masterKeys()) {
      try {
        return decrypt(sealed, masterKey, context);
      } catch {
        // Another master key encrypted it.
      }
    }
    return undefined;
  }

  createDataKey(executionId: string): DataKey {
    const key = randomBytes(keyBytes);
    return { key, wrapped: this.seal(key, executionId) };
  }

  /** Throws MissingKeyError where no master key decrypts it. */
  openDataKey(executionId: string, wrapped: string): DataKey {
    const key = this.open(wrapped, executionId);
    if (key === undefined) {
      throw new MissingKeyError(executionId);
    }
    return { key, wrapped };
  }

  #masterKey(): Buffer {
    const [masterKey] = this.#masterKeys();
    if (masterKey === undefined) {
      throw new Error("there is no master key to encrypt with");
    }
    return masterKey;
  }
}

function nameOf(masterKey: Buffer): string {
  return createHash("sha256").update("flowcall key name").update(masterKey).digest("hex").slice(0, 16);
}
