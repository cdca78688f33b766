import { ApiKeys } from "../authoring/api-keys.ts";
import { Configurations } from "../authoring/configurations.ts";
import { Connections } from "../authoring/connections.ts";
import { Imports } from "../authoring/imports.ts";
import { Schedules } from "../authoring/schedules.ts";
import { Variables } from "../authoring/variables.ts";
import { WebhookEndpoints, type WebhookEndpointsOptions } from "../authoring/webhook-endpoints.ts";
import { Workflows } from "../authoring/workflows.ts";
import type { Clock } from "../domain/clock.ts";
import type { Limits } from "../domain/limits.ts";
import type { EnvironmentKind } from "../domain/principal.ts";
import type { Definitions } from "../engine/definitions.ts";
import type { ProcessPool } from "../engine/pool/process-pool.ts";
import { DraftTests } from "../scheduler/draft-tests.ts";
import { sealCredentials } from "../scheduler/encryption/credentials.ts";
import type { Sealing } from "../scheduler/encryption/sealing.ts";
import { sealVariable } from "../scheduler/encryption/variables.ts";
import type { WatchTokens } from "../scheduler/encryption/watch-tokens.ts";
import { newWebhookSecret, openWebhookSecrets, sealWebhookSecrets } from "../scheduler/encryption/webhook-secrets.ts";
import type { VersionCache } from "../scheduler/run/version-cache.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { Watchers } from "../scheduler/waiting/watchers.ts";
import type { Stores } from "../storage/stores.ts";
import type { Implementation } from "./chain/handler-chain.ts";
import { createExecutionService } from "./executions/execution-service.ts";
import { createScheduleService } from "./schedules/schedule-service.ts";
import { createApiKeyService } from "./tenants/api-key-service.ts";
import { createAuditService } from "./tenants/audit-service.ts";
import { createConfigService } from "./tenants/config-service.ts";
import { createConnectionService } from "./tenants/connection-service.ts";
import { createIntegrationService } from "./tenants/integration-service.ts";
import { createLinkedAccountService } from "./tenants/linked-account-service.ts";
import { createPrincipalService } from "./tenants/principal-service.ts";
import { createVariableService } from "./tenants/variable-service.ts";
import { createWebhookService } from "./webhooks/webhook-service.ts";
import { createImportService } from "./workflows/import-service.ts";
import { createWorkflowService } from "./workflows/workflow-service.ts";

export type ServicesOptions = {
  readonly stores: Stores;
  readonly scheduler: Scheduler;
  readonly versions: VersionCache;
  readonly watchers: Watchers;
  readonly watchTokens: WatchTokens;
  readonly definitions: Definitions;
  readonly pool: Pick<ProcessPool, "run">;
  readonly sealing: Sealing;
  readonly newKey: (environment: EnvironmentKind) => string;
  /** Called with each API key of which a text has ended, or will before long. */
  readonly onKeyEnded: (keyId: string) => void;
  /** Called when a webhook endpoint was put. */
  readonly onChange: () => void;
  /** Whether http may be used to call a webhook endpoint. */
  readonly allowsHttp: (url: URL) => boolean;
  /** Called when a schedule was put, paused or resumed. */
  readonly onScheduleChanged: () => void;
  readonly limits: Limits;
  readonly clock: Clock;
  /** The base URL of the API's paths; absent where each request tells it. */
  readonly publicUrl: string | undefined;
};

/** The services of the API with their handlers, in the order in which they are documented. */
export function createServices(options: ServicesOptions): readonly Implementation[] {
  const { stores, scheduler, versions, definitions, sealing, newKey, onKeyEnded, limits } = options;
  const outline: VersionCache["outline"] = (...version) => versions.outline(...version);
  const secrets: WebhookEndpointsOptions["secrets"] = {
    make: newWebhookSecret,
    seal: (...secrets) => sealWebhookSecrets(sealing, ...secrets),
    open: (...sealed) => openWebhookSecrets(sealing, ...sealed),
  };
  const seal = sealCredentials.bind(undefined, sealing);
  return [
    createExecutionService({ ...options, ...stores, versions }),
    createWorkflowService({
      stores,
      workflows: new Workflows({ ...stores, definitions, hasPublicUrl: options.publicUrl !== undefined }),
      draftTests: new DraftTests({ ...options, ...stores, scheduler }),
      limits,
      publicUrl: options.publicUrl,
    }),
    createImportService(new Imports({ ...stores, definitions })),
    createIntegrationService(stores),
    createLinkedAccountService({ ...stores, limits }),
    createApiKeyService({ stores, apiKeys: new ApiKeys({ ...stores, newKey, onEnded: onKeyEnded }) }),
    createAuditService(stores),
    createConfigService({ stores, configurations: new Configurations({ ...stores, outline, limits }) }),
    createConnectionService({ stores, connections: new Connections({ ...stores, seal, limits }) }),
    createVariableService({
      stores,
      variables: new Variables({ ...stores, seal: sealVariable.bind(undefined, sealing), limits }),
    }),
    createPrincipalService({ ...stores, limits }),
    createScheduleService({
      stores,
      scheduler,
      schedules: new Schedules({ ...stores, limits, onChange: options.onScheduleChanged }),
    }),
    createWebhookService({ stores, webhookEndpoints: new WebhookEndpoints({ ...stores, ...options, secrets }) }),
  ];
}
