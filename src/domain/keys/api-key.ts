import { hash } from "node:crypto";
import { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { Principal } from "../principal.ts";
import { RequestError } from "../request-error.ts";

/** The stored parts of a key's text. The text itself is never stored. */
export type KeyText = {
  /** SHA-256 in 64 hexadecimal digits, by which a key is looked up. */
  readonly hash: string;
  readonly prefix: string;
};

/** The permissions of a key. */
export type Grant = { readonly scopes: readonly Scope[]; readonly expireTime?: Date };

/** A stored key. Times are the database's. */
export type ApiKeyRecord = Grant & {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly workflowIds?: readonly string[];
  readonly linkedAccountIds?: readonly string[];
  readonly createTime: Date;
  readonly revokeTime?: Date;
  /** When the text that was replaced by a rotation stops working. */
  readonly previousExpireTime?: Date;
};

/** The names of scopes for people. */
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
  return { hash: hash("sha256", key), prefix: key.slice(0, 6) };
}

/** Refuses with SCOPE_MISSING what asks for more than the scope that its method needs. */
export function requireScope({ scopes }: Principal, scope: Scope): void {
  if (scopes.includes(scope)) {
    return;
  }
  const word = scopeWord(scope);
  throw new RequestError("SCOPE_MISSING", `The API key lacks the scope ${word}.`, { metadata: { scope: word } });
}

/** Refuses with KEY_EXCEEDS_MAKER a grant with more scopes than the maker's own key, or a later end (privilege escalation). */
export function checkGrant(maker: Principal, { scopes, expireTime }: Grant): void {
  const missing = scopes.filter((scope) => !maker.scopes.includes(scope)).map(scopeWord);
  if (missing.length > 0) {
    throw new RequestError(
      "KEY_EXCEEDS_MAKER",
      `Your API key lacks the scopes ${missing.join(", ")} and cannot grant them. Leave them out, or use a key that has them.`,
      {
        metadata: { scopes: missing.join(",") },
      },
    );
  }
  if (maker.expireTime !== undefined && (expireTime === undefined || expireTime > maker.expireTime)) {
    const time = maker.expireTime.toISOString();
    const message = `Your API key expires at ${time}, and a key that it creates cannot last longer. Set an earlier expire_time.`;
    throw new RequestError("KEY_EXCEEDS_MAKER", message, { metadata: { expire_time: time } });
  }
}
