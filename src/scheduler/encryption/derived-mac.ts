import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

export type DerivedMacOptions = {
  /** Gives keys of 32 bytes: the first one signs, the others only verify (key rotation). */
  readonly masterKeys: () => readonly Buffer[];
  /** What the MACs are for. Those of another use never verify. */
  readonly use: string;
  /** The length that the MACs are cut to; 32 if absent. */
  readonly bytes?: number;
};

/** MACs (HMAC-SHA-256) with a key that is derived from a master key for one use alone (HKDF, RFC 5869). */
export class DerivedMac {
  readonly #options: DerivedMacOptions;
  readonly #derived = new WeakMap<Buffer, Buffer>();

  constructor(options: DerivedMacOptions) {
    this.#options = options;
  }

  /** Undefined where there is no master key. */
  sign(text: string | Buffer): Buffer | undefined {
    const [masterKey] = this.#options.masterKeys();
    return masterKey && this.#signBy(masterKey, text);
  }

  /** Whether any of the master keys gives this MAC, which has the full length. Compares in constant time. */
  verifies(text: string | Buffer, mac: Buffer): boolean {
    return this.#options.masterKeys().some((key) => timingSafeEqual(this.#signBy(key, text), mac));
  }

  #signBy(masterKey: Buffer, text: string | Buffer): Buffer {
    const { use, bytes = 32 } = this.#options;
    const key = this.#derived.get(masterKey) ?? Buffer.from(hkdfSync("sha256", masterKey, Buffer.alloc(0), use, 32));
    this.#derived.set(masterKey, key);
    return createHmac("sha256", key).update(text).digest().subarray(0, bytes);
  }
}
