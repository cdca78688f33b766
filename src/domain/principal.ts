import type { Scope } from "../gen/flowcall/v1/options_pb.ts";

/**
 * What a caller may touch: one environment, and of it, where a list is there, only what belongs to the workflows or to
 * the linked accounts of the list. Whatever lies beyond is not found. Every statement on tenant data names it.
 */
export type Reach = {
  readonly environmentId: string;
  readonly workflowIds?: readonly string[];
  readonly linkedAccountIds?: readonly string[];
};

/** Who calls: what an API key stands for. */
export type Principal = Reach & {
  readonly organizationId: string;
  readonly environment: EnvironmentKind;
  readonly keyId: string;
  readonly scopes: readonly Scope[];
  /** When the key ends, where it does. */
  readonly expireTime?: Date;
  /** The one execution that the caller may ask for, where it came with a watch token in place of the key. */
  readonly executionId?: string;
};

/** What names a key, and tells nothing of its text. */
export type KeyName = Pick<Principal, "environmentId" | "keyId">;

export type EnvironmentKind = "test" | "production";

/** Whether what belongs to a workflow, to an account or to both is within a caller's reach. */
export function isReached(
  { workflowIds, linkedAccountIds }: Reach,
  { workflowId, linkedAccountId }: { readonly workflowId?: string; readonly linkedAccountId?: string },
): boolean {
  return isAmong(workflowIds, workflowId) && isAmong(linkedAccountIds, linkedAccountId);
}

function isAmong(all: readonly string[] | undefined, one: string | undefined): boolean {
  return all === undefined || one === undefined || all.includes(one);
}
