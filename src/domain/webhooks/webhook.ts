import type { ExecutionSource, TerminalState } from "../execution.ts";

/** Which ends an endpoint is told of, and how. */
export type WebhookSettings = {
  readonly id: string;
  readonly url: string;
  readonly states: readonly TerminalState[];
  /** Of all workflows, integrations, or sources but tests, where they are absent. */
  readonly workflowIds?: readonly string[];
  readonly slugs?: readonly string[];
  readonly sources?: readonly ExecutionSource[];
  readonly method: "POST" | "PUT" | "PATCH";
  readonly includesResponse: boolean;
  /** Whether requests have the header x-cobalt-signature too. */
  readonly hasCobaltSignature: boolean;
  /** The names of its own headers. Their values are secret. */
  readonly headerNames: readonly string[];
  readonly isEnabled: boolean;
};

export type WebhookEndpoint = WebhookSettings & {
  /** Why deliveries have disabled it. */
  readonly disableReason?: string;
  readonly revision: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** What an endpoint's requests are signed by, and its own headers; encrypted where it is stored. */
export type WebhookSecrets = {
  /** In the form of Standard Webhooks: `whsec_` and Base64. */
  readonly secret: string;
  /** The secret before a rotation, and until when requests are signed by it too, in milliseconds since 1970. */
  readonly previous?: { readonly secret: string; readonly until: number };
  readonly headers: readonly (readonly [name: string, value: string])[];
};

export type WebhookDelivery = {
  readonly id: string;
  readonly endpointId: string;
  readonly executionId: string;
  readonly event: string;
  readonly attempts: number;
  readonly isDelivered: boolean;
  /** When it is tried next; absent where it is delivered or given up. */
  readonly dueTime?: Date;
  /** How the last attempt was answered, or why it was not. */
  readonly status?: number;
  readonly error?: string;
  readonly answer?: string;
  readonly createTime: Date;
  readonly endTime?: Date;
};
