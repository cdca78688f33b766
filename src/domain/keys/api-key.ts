import { createHash } from "node:crypto";
import { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { Principal } from "../principal.ts";
import { RequestError } from "../request-error.ts";

/** What is kept of a key's text: what finds it, and what may be shown. */
export type KeyText = {
  /** SHA-256, 64 hexadecimal digits. */
  readonly hash: string;
  readonly prefix: string;
};

/** What a key gives. */
export type Grant = { readonly scopes: readonly Scope[]; readonly expireTime?: Date };

/** A key as it is kept. Times are the database's. */
export type ApiKeyRecord = Grant & {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly workflowIds?: readonly string[];
  readonly linkedAccountIds?: readonly string[];
  readonly createTime: Date;
  readonly revokeTime?: Date;
  /** Until when the text works that it had before. */
  readonly previousExpireTime?: Date;
};

/** Words in which people name scopes. */
export const scopeWords = {
  execute: Scope.EXECUTE,
  read: Scope.READ,
  author: Scope.AUTHOR,
  admin: Scope.ADMIN,
} as const;

export function scopeWord(scope: Scope): string {
  return Object.entries(scopeWords).find(([, value]) => value === scope)?.[0] ?? String(scope);
}

export function keyTextOf(key: string): KeyText {
  return { hash: createHash("sha256").update(key).digest("hex"), prefix: key.slice(0, 6) };
}

/** Refuses with KEY_EXCEEDS_MAKER a grant that is more than the maker's own key has, or lasts longer. */
export function checkGrant(maker: Principal, { scopes, expireTime }: Grant): void {
  const missing = scopes.filter((scope) => !maker.scopes.includes(scope)).map(scopeWord);
  if (missing.length > 0) {
    throw new RequestError("KEY_EXCEEDS_MAKER", `The key that asks has not the scopes ${missing.join(", ")} to give.`, {
      metadata: { scopes: missing.join(",") },
    });
  }
  if (maker.expireTime !== undefined && (expireTime === undefined || expireTime > maker.expireTime)) {
    const time = maker.expireTime.toISOString();
    const message = `The key that asks ends at ${time}, and no key that it gives may last longer.`;
    throw new RequestError("KEY_EXCEEDS_MAKER", message, { metadata: { expire_time: time } });
  }
}
