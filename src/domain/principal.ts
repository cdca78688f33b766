import type { Scope } from "../gen/flowcall/v1/options_pb.ts";

/**
 * The part of the data that a caller may access: one environment, and in it, where a list is given, only what belongs to
 * the listed workflows or linked accounts. Everything else is answered as not found. Every statement on tenant data has it
 * as a condition.
 */
export type AccessScope = {
  readonly environmentId: string;
  readonly workflowIds?: readonly string[];
  readonly linkedAccountIds?: readonly string[];
};

/** The authenticated caller: what its API key or watch token stands for. */
export type Principal = AccessScope & {
  readonly organizationId: string;
  readonly environment: EnvironmentKind;
  readonly keyId: string;
  readonly scopes: readonly Scope[];
  /** When the key expires; absent if it does not. */
  readonly expireTime?: Date;
  /** The only execution that the caller may read, if it sent a watch token instead of a key. */
  readonly executionId?: string;
};

/** Identifies a key without its secret text. */
export type KeyName = Pick<Principal, "environmentId" | "keyId">;

export type EnvironmentKind = "test" | "production";

/** Whether a caller may access something that belongs to this workflow and linked account. */
export function isAccessible(
  { workflowIds, linkedAccountIds }: AccessScope,
  { workflowId, linkedAccountId }: { readonly workflowId?: string; readonly linkedAccountId?: string },
): boolean {
  return isAmong(workflowIds, workflowId) && isAmong(linkedAccountIds, linkedAccountId);
}

function isAmong(all: readonly string[] | undefined, one: string | undefined): boolean {
  return all === undefined || one === undefined || all.includes(one);
}
