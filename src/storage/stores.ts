import type { Database } from "./database.ts";
import { ExecutionEvents } from "./execution-events.ts";
import { ExecutionReader } from "./execution-reader.ts";
import { ExecutionStore } from "./execution-store.ts";
import { LeaseStore } from "./lease-store.ts";
import { TenantStore } from "./tenant-store.ts";
import { WorkflowStore } from "./workflow-store.ts";

/** All that is remembered, by what it is about. */
export type Stores = {
  readonly tenants: TenantStore;
  readonly workflows: WorkflowStore;
  readonly executions: ExecutionStore;
  readonly reader: ExecutionReader;
  readonly events: ExecutionEvents;
  readonly leases: LeaseStore;
};

/** Opens the stores of a database; each works once that is started. */
export function openStores({ db, leaseDb }: Database): Stores {
  return {
    tenants: new TenantStore(db),
    workflows: new WorkflowStore(db),
    executions: new ExecutionStore(db),
    reader: new ExecutionReader(db),
    events: new ExecutionEvents(db),
    leases: new LeaseStore(leaseDb),
  };
}
