import type { Logger } from "pino";
import type { Config } from "../config.ts";
import { systemClock } from "../domain/clock.ts";
import { EventLoopYielder } from "../domain/event-loop-yielder.ts";
import { RateLimiter } from "../domain/limits/rate-limit.ts";
import { Definitions } from "../engine/definitions.ts";
import { HttpClient } from "../engine/http/http-client.ts";
import { ProcessPool } from "../engine/pool/process-pool.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { logExecutions } from "../process/log-executions.ts";
import { openConnection } from "../scheduler/encryption/open-connection.ts";
import { Sealing } from "../scheduler/encryption/sealing.ts";
import { readVariables } from "../scheduler/encryption/variables.ts";
import { WebhookTokens } from "../scheduler/encryption/webhook-tokens.ts";
import { createSchedulerEvents } from "../scheduler/run/scheduler-events.ts";
import { VersionCache } from "../scheduler/run/version-cache.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import { Watchers } from "../scheduler/waiting/watchers.ts";
import { webhookPath } from "../server/webhooks/webhook-handler.ts";
import type { MasterKeys } from "../setup/master-keys.ts";
import { isUnavailable } from "../storage/postgres/database-errors.ts";
import type { Storage } from "./open-storage.ts";

export type SchedulerParts = {
  readonly config: Config;
  readonly log: Logger;
  /** Absent where there are none. */
  readonly metrics: Metrics | undefined;
  readonly storage: Storage;
  readonly masterKeys: MasterKeys;
};

/** Everything that runs executions. */
export type Execution = {
  readonly http: HttpClient;
  readonly pool: ProcessPool;
  readonly yielder: EventLoopYielder;
  readonly definitions: Definitions;
  readonly versions: VersionCache;
  readonly watchers: Watchers;
  readonly rates: RateLimiter;
  readonly sealing: Sealing;
  readonly webhookTokens: WebhookTokens;
  readonly scheduler: Scheduler;
};

export function createScheduler({ config, log, metrics, storage, masterKeys }: SchedulerParts): Execution {
  const { limits } = config;
  const { stores, notifier } = storage;
  const http = new HttpClient({ allow: config.egressAllow });
  const pool = new ProcessPool(limits);
  const yielder = new EventLoopYielder();
  const definitions = new Definitions({ limits, pool, yielder });
  const versions = new VersionCache({ versions: stores.versions, definitions, limits });
  const events = createSchedulerEvents();
  logExecutions(events, config.loggedEnds, log);
  metrics?.listen(events);
  const watchers = new Watchers({ journals: stores.events, events, limits, clock: systemClock, log });
  const rates = new RateLimiter(limits, systemClock);
  const webhookTokens = new WebhookTokens(() => masterKeys.all);
  const sealing = new Sealing(() => masterKeys.all);
  const scheduler = new Scheduler({
    ...stores,
    rates,
    http,
    pool,
    yielder,
    definitions,
    versions,
    callbackUrl: ({ environmentId, id: executionId }, path) => {
      const token = config.publicUrl && webhookTokens.make({ environmentId, executionId, path });
      return token && `${config.publicUrl}${webhookPath}${token}`;
    },
    readVariables: (environmentId, names) => readVariables({ ...stores, sealing }, environmentId, names),
    openConnection: (execution, slug) => openConnection({ ...stores, sealing }, execution, slug),
    notifier,
    events,
    sealing,
    isUnavailable,
    onRecord: metrics?.onRecord,
    limits,
    clock: systemClock,
    log,
  });
  return { http, pool, yielder, definitions, versions, watchers, rates, sealing, webhookTokens, scheduler };
}
