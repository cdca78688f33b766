import type { ColumnType, Generated } from "kysely";

/** The table of `migrations/webhook-tables.ts`. */
export type WebhookEndpointTable = {
  revision: Generated<number>;
  create_time: ColumnType<Date, never, never>;
  update_time: ColumnType<Date, Date | undefined, Date>;
  environment_id: string;
  id: string;
  url: string;
  sealed: string;
  sealed_by: string;
  states: readonly string[];
  workflow_ids: readonly string[] | null;
  slugs: readonly string[] | null;
  sources: readonly string[] | null;
  /** JSON text: see `endpoint-store.ts`. */
  settings: string;
  is_enabled: boolean;
  disable_reason: string | null;
  failing_since: Date | null;
};

export type WebhookDeliveryTable = {
  environment_id: string;
  endpoint_id: string;
  id: string;
  execution_id: string;
  event: string;
  attempts: Generated<number>;
  due_time: ColumnType<Date | null, Date | null | undefined, Date | null>;
  is_delivered: Generated<boolean>;
  status: number | null;
  error: string | null;
  answer: string | null;
  create_time: ColumnType<Date, never, never>;
  end_time: ColumnType<Date | null, Date | null | undefined, Date | null>;
};
