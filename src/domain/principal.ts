import type { Scope } from "../gen/flowcall/v1/options_pb.ts";

/** Who calls: what an API key stands for. Every statement on tenant data names `environmentId`. */
export type Principal = {
  readonly organizationId: string;
  readonly environmentId: string;
  readonly environment: EnvironmentKind;
  readonly keyId: string;
  readonly scopes: readonly Scope[];
};

export type EnvironmentKind = "test" | "production";
