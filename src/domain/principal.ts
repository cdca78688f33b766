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
};

export type EnvironmentKind = "test" | "production";
