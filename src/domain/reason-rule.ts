import type { Code } from "@connectrpc/connect";

/** The gRPC status codes (https://grpc.io/docs/guides/status-codes/), which Connect has under the same numbers. */
export const grpc = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const satisfies Readonly<Record<string, Code>>;

/** How a reason is answered: by gRPC code on Connect, gRPC and gRPC-Web, by HTTP status on REST, and its default message. */
export type ReasonRule = { readonly code: Code; readonly status: number; readonly message: string };
