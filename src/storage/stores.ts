/**
 * Storage: all that Flowcall must not forget, in one Postgres database.
 *
 * Invariants: a store method is one step of the domain and one transaction, and no transaction leaves this folder. Every
 * statement on tenant data names the environment. An update names the state that it leaves and checks that a row changed. The
 * database's clock decides what is due. A write for an execution names its owner and epoch (the fencing token), and changes
 * nothing once another process has claimed the execution. Storage never sees a graph of the engine.
 *
 * A folder imports from those before it: migrations, postgres, tenants, webhooks, executions, claims, history, workflows, schedules.
 */
import { ClaimQueue } from "./claims/claim-queue.ts";
import { ClaimStore } from "./claims/claim-store.ts";
import { LeaseStore } from "./claims/lease-store.ts";
import { OwnerReaper } from "./claims/owner-reaper.ts";
import { ChildStore } from "./executions/children.ts";
import { ExecutionStore } from "./executions/execution-store.ts";
import { HistoryDays } from "./executions/history-days.ts";
import { SignalStore } from "./executions/signals.ts";
import { ExecutionEvents } from "./history/execution-events.ts";
import { ExecutionReader } from "./history/execution-reader.ts";
import type { Database } from "./postgres/database.ts";
import { type BatchLimits, defaultBatchLimits } from "./postgres/statement-batcher.ts";
import { DueSchedules } from "./schedules/due-schedules.ts";
import { ScheduleStore } from "./schedules/schedule-store.ts";
import { ApiKeyStore } from "./tenants/api-key-store.ts";
import { AuditStore } from "./tenants/audit-store.ts";
import { ConfigStore } from "./tenants/config-store.ts";
import { ConnectionStore } from "./tenants/connection-store.ts";
import { DayBytesStore } from "./tenants/daily-bytes-store.ts";
import { IntegrationStore } from "./tenants/integration-store.ts";
import { LinkedAccountStore } from "./tenants/linked-account-store.ts";
import { TenantStore } from "./tenants/tenant-store.ts";
import { VariableStore } from "./tenants/variable-store.ts";
import { DeliveryStore } from "./webhooks/delivery-store.ts";
import { EndpointStore } from "./webhooks/endpoint-store.ts";
import { WatchedEnvironments } from "./webhooks/watched-environments.ts";
import { DraftStore } from "./workflows/draft-store.ts";
import { VersionStore } from "./workflows/version-store.ts";
import { WorkflowStore } from "./workflows/workflow-store.ts";

/** All stores of one database. */
export type Stores = {
  readonly tenants: TenantStore;
  readonly apiKeys: ApiKeyStore;
  readonly audit: AuditStore;
  readonly integrations: IntegrationStore;
  readonly linkedAccounts: LinkedAccountStore;
  readonly configs: ConfigStore;
  readonly connections: ConnectionStore;
  readonly variables: VariableStore;
  readonly workflows: WorkflowStore;
  readonly drafts: DraftStore;
  readonly versions: VersionStore;
  readonly executions: ExecutionStore;
  readonly watchedEnvironments: WatchedEnvironments;
  readonly endpoints: EndpointStore;
  readonly deliveries: DeliveryStore;
  readonly signals: SignalStore;
  readonly children: ChildStore;
  readonly reader: ExecutionReader;
  readonly events: ExecutionEvents;
  readonly claims: ClaimStore;
  readonly queue: ClaimQueue;
  readonly reaper: OwnerReaper;
  readonly leases: LeaseStore;
  readonly dayBytes: DayBytesStore;
  readonly schedules: ScheduleStore;
  readonly dueSchedules: DueSchedules;
  readonly days: HistoryDays;
};

/** Opens the stores of a database. They work once the database is started. */
export function openStores(
  { db, callsDb, leaseDb, lookUpDb }: Database,
  batchLimits: BatchLimits = defaultBatchLimits,
): Stores {
  const watchedEnvironments = new WatchedEnvironments(db);
  return {
    tenants: new TenantStore(callsDb),
    apiKeys: new ApiKeyStore({ db: callsDb, lookUpDb }),
    audit: new AuditStore(callsDb),
    integrations: new IntegrationStore(callsDb),
    linkedAccounts: new LinkedAccountStore(callsDb),
    configs: new ConfigStore(callsDb),
    connections: new ConnectionStore(callsDb),
    variables: new VariableStore(callsDb),
    workflows: new WorkflowStore(db, { callsDb, batchLimits }),
    drafts: new DraftStore(callsDb),
    versions: new VersionStore(db, { callsDb, batchLimits }),
    executions: new ExecutionStore(db, { callsDb, batchLimits, watched: watchedEnvironments }),
    watchedEnvironments,
    endpoints: new EndpointStore(callsDb),
    deliveries: new DeliveryStore(db),
    signals: new SignalStore(db),
    children: new ChildStore(db),
    reader: new ExecutionReader(callsDb),
    events: new ExecutionEvents(db, { callsDb }),
    claims: new ClaimStore(db),
    queue: new ClaimQueue(db),
    reaper: new OwnerReaper(db),
    leases: new LeaseStore(leaseDb),
    dayBytes: new DayBytesStore(db),
    schedules: new ScheduleStore(callsDb),
    dueSchedules: new DueSchedules(db),
    days: new HistoryDays(db),
  };
}
