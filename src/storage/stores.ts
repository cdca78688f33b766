import { LeaseStore } from "./claims/lease-store.ts";
import { ExecutionStore } from "./executions/execution-store.ts";
import { ExecutionEvents } from "./history/execution-events.ts";
import { ExecutionReader } from "./history/execution-reader.ts";
import type { Database } from "./postgres/database.ts";
import { defaultSharing } from "./postgres/statement-batcher.ts";
import { ApiKeyStore } from "./tenants/api-key-store.ts";
import { AuditStore } from "./tenants/audit-store.ts";
import { ConfigStore } from "./tenants/config-store.ts";
import { ConnectionStore } from "./tenants/connection-store.ts";
import { DayBytesStore } from "./tenants/daily-bytes-store.ts";
import { IntegrationStore } from "./tenants/integration-store.ts";
import { LinkedAccountStore } from "./tenants/linked-account-store.ts";
import { TenantStore } from "./tenants/tenant-store.ts";
import { WorkflowStore } from "./workflows/workflow-store.ts";

/** All that is remembered, by what it is about. */
export type Stores = {
  readonly tenants: TenantStore;
  readonly apiKeys: ApiKeyStore;
  readonly audit: AuditStore;
  readonly integrations: IntegrationStore;
  readonly linkedAccounts: LinkedAccountStore;
  readonly configs: ConfigStore;
  readonly connections: ConnectionStore;
  readonly workflows: WorkflowStore;
  readonly executions: ExecutionStore;
  readonly reader: ExecutionReader;
  readonly events: ExecutionEvents;
  readonly leases: LeaseStore;
  readonly dayBytes: DayBytesStore;
};

/** Opens the stores of a database; each works once that is started. */
export function openStores({ db, callsDb, leaseDb, lookUpDb }: Database, sharing = defaultSharing): Stores {
  return {
    tenants: new TenantStore(callsDb),
    apiKeys: new ApiKeyStore({ db: callsDb, lookUpDb }),
    audit: new AuditStore(callsDb),
    integrations: new IntegrationStore(callsDb),
    linkedAccounts: new LinkedAccountStore(callsDb),
    configs: new ConfigStore(callsDb),
    connections: new ConnectionStore(callsDb),
    workflows: new WorkflowStore(db, { callsDb, sharing }),
    executions: new ExecutionStore(db, { callsDb, sharing }),
    reader: new ExecutionReader(callsDb),
    events: new ExecutionEvents(db, { callsDb }),
    leases: new LeaseStore(leaseDb),
    dayBytes: new DayBytesStore(db),
  };
}
