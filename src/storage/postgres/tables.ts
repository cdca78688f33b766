import type { ColumnType, Generated } from "kysely";
import type { AuditAction } from "../../domain/audit.ts";
import type { ChildMode, ExecutionSource, ExecutionType, TerminalState } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { EnvironmentKind } from "../../domain/principal.ts";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { WebhookDeliveryTable, WebhookEndpointTable } from "./webhook-table-types.ts";

/** The tables and their columns, as Kysely types. `migrations/` holds their constraints. */
export type Tables = {
  readonly organization: OrganizationTable;
  readonly environment: EnvironmentTable;
  readonly api_key: ApiKeyTable;
  readonly key_secret: KeySecretTable;
  readonly integration: IntegrationTable;
  readonly linked_account: LinkedAccountTable;
  readonly config: ConfigTable;
  readonly connection: ConnectionTable;
  readonly variable: VariableTable;
  readonly audit_event: AuditEventTable;
  readonly workflow: WorkflowTable;
  readonly workflow_version: WorkflowVersionTable;
  readonly execution: ExecutionTable;
  readonly execution_claim: ExecutionClaimTable;
  readonly journal: JournalTable;
  readonly idempotency_key: IdempotencyKeyTable;
  readonly signal: SignalTable;
  readonly child_execution: ChildExecutionTable;
  readonly lease: LeaseTable;
  readonly environment_day: EnvironmentDayTable;
  readonly schedule: ScheduleTable;
  readonly webhook_endpoint: WebhookEndpointTable;
  readonly webhook_delivery: WebhookDeliveryTable;
};

/** Set by the database when the row is inserted. */
type CreateTime = ColumnType<Date, never, never>;

/** Set by the database when the row is inserted, and afterwards by expressions of its clock. */
type DatabaseTime = ColumnType<Date, Date | undefined, Date>;

/** Columns of rows that users edit. `revision` counts the changes. */
type Edited = { revision: Generated<number>; create_time: CreateTime; update_time: DatabaseTime };

type OrganizationTable = { id: string; name: string; create_time: CreateTime };

type EnvironmentTable = { id: string; organization_id: string; kind: EnvironmentKind };

type ApiKeyTable = {
  id: string;
  environment_id: string;
  hash: string;
  prefix: string;
  name: string;
  scopes: readonly Scope[];
  create_time: CreateTime;
  expire_time: ColumnType<Date | null, Date | null | undefined, never>;
  revoke_time: ColumnType<Date | null, never, Date>;
  /** The hash of the old text of a rotated key, and until when it is valid. */
  previous_hash: ColumnType<string | null, never, string>;
  previous_expire_time: ColumnType<Date | null, never, Date>;
  workflow_ids: readonly string[] | null;
  linked_account_ids: readonly string[] | null;
};

/** The secrets of the key checksums: see `KeySecret`. */
type KeySecretTable = { id: string; secret: Buffer; create_time: CreateTime };

type IntegrationTable = Edited & {
  environment_id: string;
  slug: string;
  name: string;
  /** JSON text of an array of FieldDeclaration. */
  fields: Generated<string>;
  /** JSON text of what it says of its API. */
  api: Generated<string>;
};

type LinkedAccountTable = Edited & {
  environment_id: string;
  account_id: string;
  name: string | null;
  /** JSON text of an object. */
  attributes: string;
  /** Set when it is deleted. */
  delete_time: Generated<Date | null>;
};

type ConfigTable = Edited & {
  environment_id: string;
  account_id: string;
  slug: string;
  config_id: string;
  /** JSON text of an object of values. */
  application_fields: string;
  /** JSON text of an object of such objects, by workflow id. */
  workflow_fields: string;
};

type ConnectionTable = Edited & {
  environment_id: string;
  account_id: string;
  slug: string;
  sealed: string;
  sealed_by: string;
  /** JSON text of an object of hints. */
  hints: string;
};

type VariableTable = Edited & {
  environment_id: string;
  name: string;
  /** The value, where it is no secret. */
  value: string | null;
  sealed: string | null;
  sealed_by: string | null;
  hint: string;
  /** JSON text of an array of texts. */
  hosts: string;
};

type AuditEventTable = {
  environment_id: string;
  id: string;
  key_id: string;
  action: AuditAction;
  resource: string;
  create_time: CreateTime;
};

type WorkflowTable = {
  environment_id: string;
  id: string;
  slug: string;
  name: string;
  description: string | null;
  alias: string | null;
  current_version: number | null;
  /** The number of versions that were ever published. */
  latest_version: Generated<number>;
  draft_definition: Generated<string>;
  draft_revision: Generated<number>;
  draft_update_time: DatabaseTime;
  /** Counts the changes of everything but the draft. */
  revision: Generated<number>;
  create_time: CreateTime;
  update_time: DatabaseTime;
  delete_time: ColumnType<Date | null, never, Date>;
};

type WorkflowVersionTable = {
  environment_id: string;
  workflow_id: string;
  version: number;
  definition: string;
  create_time: CreateTime;
};

type ExecutionTable = {
  environment_id: string;
  id: string;
  workflow_id: string;
  version: number;
  linked_account_id: string;
  config_id: string;
  tag: string | null;
  type: ExecutionType;
  source: ExecutionSource;
  payload: JsonText;
  headers: JsonText;
  fields: JsonText | null;
  state: TerminalState | null;
  /** Set once: with the record of the Response node, or at the end. */
  response: JsonText | null;
  status_code: number | null;
  /** JSON text of an ExecutionError. */
  error: string | null;
  create_time: CreateTime;
  end_time: ColumnType<Date | null, Date | null, Date>;
  finished_epoch: number | null;
  origin_id: string | null;
};

type ExecutionClaimTable = {
  execution_id: string;
  environment_id: string;
  /** Empty where a process of an earlier version wrote it. */
  linked_account_id: Generated<string>;
  owner: string | null;
  epoch: number;
  due_time: DatabaseTime;
  /** When `due_time` was set to a time in the future; null where an owner has the execution. */
  due_set_time: Date | null;
  /** When its last sleep ends, by the clock of the process that went to sleep. */
  wake_time: Date | null;
  /** Milliseconds that it has run under earlier owners. */
  run_ms: Generated<number>;
  run_since: Date | null;
  seal_key: string | null;
  /** The name of the master key that wrapped `seal_key`; null where a process of an earlier version did. */
  sealed_by: Generated<string | null>;
  /** Losses in a row: its owner died or could not run it. See `isQuarantined`. */
  losses: Generated<number>;
  /** When the last loss was counted; null where there was none, or a process of an earlier version counted it. */
  loss_time: Date | null;
  /** How often it has run in quarantine and done no harm. */
  trials: Generated<number>;
  /** Used by earlier versions to count losses. */
  flushes: Generated<number>;
};

type JournalTable = {
  execution_id: string;
  flush_index: number;
  environment_id: string;
  epoch: number;
  /** See FlushRow. */
  entries: string;
  heads: Generated<string | null>;
  create_time: CreateTime;
};

type SignalTable = {
  execution_id: string;
  name: string;
  environment_id: string;
  /** Null where the wait was closed before a signal came; empty once nobody can read it any more. */
  value: string | null;
  digest: string | null;
  create_time: CreateTime;
};

type ChildExecutionTable = {
  parent_id: string;
  name: string;
  environment_id: string;
  child_id: string;
  root_id: string;
  mode: ChildMode;
  depth: number;
  detached: number;
  is_ended: Generated<boolean>;
};

type IdempotencyKeyTable = {
  environment_id: string;
  linked_account_id: string;
  key: string;
  fingerprint: string;
  execution_id: string;
};

type EnvironmentDayTable = {
  /** As 2026-01-31, in UTC. */
  day: string;
  environment_id: string;
  /** The process start that counted. */
  owner: string;
  bytes: number;
};

type LeaseTable = {
  owner: string;
  expire_time: Date;
  renew_time: DatabaseTime;
  /** The session of the database that renewed it last. */
  session_pid: number | null;
  session_start: Date | null;
  /** The load that the process reports, as JSON text. */
  load: string | null;
  /** The name of the process on its machine. */
  process: string | null;
};

type ScheduleTable = Edited & {
  environment_id: string;
  id: string;
  workflow_id: string;
  linked_account_id: string;
  /** JSON texts: see `schedule-rows.ts`. */
  settings: string;
  payload: string;
  progress: string;
  due_time: ColumnType<Date | null, Date | null | undefined, Date | null>;
  fire_id: string | null;
  last_execution_id: string | null;
};
