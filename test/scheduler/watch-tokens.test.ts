import { createHmac, hkdfSync } from "node:crypto";
import { expect, test } from "vitest";
import { WatchTokens } from "../../src/scheduler/encryption/watch-tokens.ts";

const masterKey = Buffer.alloc(32, 7);
const grant = { environmentId: "a".repeat(24), executionId: "b".repeat(24), keyId: "c".repeat(24) };
const expireTime = new Date(1_000);
const tokens = new WatchTokens(() => [masterKey], { now: () => 0 });

/** The token with a MAC of one's own. */
function signedBy(key: Uint8Array): string {
  const claims = ["wt1", grant.environmentId, grant.executionId, grant.keyId, expireTime.getTime().toString(36)].join(
    ".",
  );
  return `${claims}.${createHmac("sha256", key).update(claims).digest("base64url")}`;
}

test("a watch token's MAC is made by a key that is derived for this use alone", () => {
  const derive = (use: string) => new Uint8Array(hkdfSync("sha256", masterKey, Buffer.alloc(0), use, 32));
  expect(tokens.make(grant, expireTime)).toBe(signedBy(derive("flowcall watch token")));
  expect(tokens.read(tokens.make(grant, expireTime))).toEqual({ ...grant, expireTime });
  // Neither the encryption key itself nor a key of another use makes one.
  for (const key of [masterKey, derive(""), derive("flowcall api key")]) {
    expect(() => tokens.read(signedBy(key))).toThrow(expect.objectContaining({ reason: "INVALID_WATCH_TOKEN" }));
  }
});
