import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import type { NodeRun } from "../../domain/execution.ts";
import { redacted } from "../../domain/json/redacted.ts";
import type { JsonText } from "../../domain/json-text.ts";
import type { Flush } from "../../storage/executions/flush.ts";

const algorithm = "aes-256-gcm";
const keyBytes = 32;
const ivBytes = 12;
const tagBytes = 16;

/** The key that seals what one execution hides. It is kept beside the claim, wrapped, and ends with it. */
export type SealKey = { readonly key: Buffer; readonly wrapped: string };

/** What is sealed needs a key that is not there. With that key it goes on. */
export class KeyMissing extends Error {
  constructor(executionId: string) {
    super(`no encryption key opens what the execution ${executionId} has sealed`);
    this.name = "KeyMissing";
  }
}

/**
 * Keeps secrets from whoever reads the database: credentials, and what nodes hide. The latter from everybody once the
 * execution has ended: each execution has a key of its own, and that key is deleted with the execution's claim.
 * AES-256-GCM throughout; what was sealed in one context opens in no other.
 */
export class Sealing {
  readonly #masterKeys: () => readonly Buffer[];

  /** @param masterKeys gives keys of 32 bytes; the first one seals, the others still open what they sealed. */
  constructor(masterKeys: () => readonly Buffer[]) {
    this.#masterKeys = masterKeys;
  }

  get canSeal(): boolean {
    return this.#masterKeys().length > 0;
  }

  /** Names the key that seals, and tells nothing of it. */
  get keyName(): string {
    return nameOf(this.#masterKey());
  }

  /** The names of all keys that are there. */
  get keyNames(): readonly string[] {
    return this.#masterKeys().map(nameOf);
  }

  seal(bytes: Buffer, context: string): string {
    return encrypt(bytes, this.#masterKey(), context);
  }

  /** Undefined where no master key opens it in this context. */
  open(sealed: string, context: string): Buffer | undefined {
    for (const masterKey of this.#masterKeys()) {
      try {
        return decrypt(sealed, masterKey, context);
      } catch {
        // Another master key sealed it.
      }
    }
    return undefined;
  }

  createKey(executionId: string): SealKey {
    const key = randomBytes(keyBytes);
    return { key, wrapped: this.seal(key, executionId) };
  }

  /** Throws KeyMissing where no master key opens it. */
  openKey(executionId: string, wrapped: string): SealKey {
    const key = this.open(wrapped, executionId);
    if (key === undefined) throw new KeyMissing(executionId);
    return { key, wrapped };
  }

  #masterKey(): Buffer {
    const [masterKey] = this.#masterKeys();
    if (masterKey === undefined) throw new Error("there is no key to seal with");
    return masterKey;
  }
}

/** A run as it is kept while its execution goes on. */
export function sealRun(run: NodeRun, { key }: SealKey): NodeRun {
  if (run.is_hidden !== true) return run;
  const { output, error } = run;
  return {
    ...withoutHidden(run),
    sealed: encrypt(Buffer.from(JSON.stringify({ output, message: error?.message })), key, run.path),
  };
}

/** What a journal begins with, as it is kept while its execution goes on. */
export function sealFlushes(flushes: readonly Flush[], key: SealKey): readonly Flush[] {
  return flushes.map(({ index, runs }) => ({ index, runs: runs.map((run) => sealRun(run, key)) }));
}

/** A run as it was before it was sealed. */
export function openRun(run: NodeRun, { key }: SealKey): NodeRun {
  const { sealed, ...open } = run;
  if (sealed === undefined) return run;
  // Sealed by sealRun.
  const hidden = JSON.parse(decrypt(sealed, key, run.path).toString()) as { output?: JsonText; message?: string };
  const { output, message } = hidden;
  return {
    ...open,
    ...(output !== undefined && { output }),
    ...(open.error !== undefined && message !== undefined && { error: { ...open.error, message } }),
  };
}

/** A run as it is kept when its execution has ended. */
export function withoutHidden(run: NodeRun): NodeRun {
  if (run.is_hidden !== true) return run;
  const { output, error, ...shown } = run;
  return { ...shown, ...(error && { error: { ...error, message: redacted } }) };
}

function nameOf(masterKey: Buffer): string {
  return createHash("sha256").update("flowcall key name").update(masterKey).digest("hex").slice(0, 16);
}

function encrypt(bytes: Buffer, key: Buffer, context: string): string {
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv(algorithm, key, iv).setAAD(Buffer.from(context));
  const text = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), text]).toString("base64");
}

function decrypt(sealed: string, key: Buffer, context: string): Buffer {
  const bytes = Buffer.from(sealed, "base64");
  const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, ivBytes), { authTagLength: tagBytes })
    .setAAD(Buffer.from(context))
    .setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes));
  return Buffer.concat([decipher.update(bytes.subarray(ivBytes + tagBytes)), decipher.final()]);
}
