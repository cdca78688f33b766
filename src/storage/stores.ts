import { ApiKeyStore } from "./api-key-store.ts";
import { AuditStore } from "./audit-store.ts";
import { ConfigStore } from "./config-store.ts";
import { ConnectionStore } from "./connection-store.ts";
import type { Database } from "./database.ts";
import { DayBytesStore } from "./day-bytes-store.ts";
import { ExecutionEvents } from "./execution-events.ts";
import { ExecutionReader } from "./execution-reader.ts";
import { ExecutionStore } from "./execution-store.ts";
import { IntegrationStore } from "./integration-store.ts";
import { LeaseStore } from "./lease-store.ts";
import { LinkedAccountStore } from "./linked-account-store.ts";
import { defaultSharing } from "./shared-statement.ts";
import { TenantStore } from "./tenant-store.ts";
import { WorkflowStore } from "./workflow-store.ts";

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
