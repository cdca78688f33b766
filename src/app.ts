// The composition root: creates the parts, starts them bottom up and stops them top down.
//
// The port opens last, when calls are accepted. Until then a proxy gets "connection refused", and sends its call elsewhere.

import { createApi } from "./composition/create-api.ts";
import { createScheduler, type Execution } from "./composition/create-scheduler.ts";
import { openStorage, type Storage, type StorageOptions } from "./composition/open-storage.ts";
import { KeyChecksums, type KeySecret } from "./domain/keys/key-checksum.ts";
import type { Service } from "./domain/service.ts";
import { Metrics } from "./metrics/metrics.ts";
import { MetricsServer } from "./metrics/metrics-server.ts";
import { heapLimitMib } from "./process/memory-limits.ts";
import { ReadyFile } from "./process/ready-file.ts";
import { readVersion } from "./process/version.ts";
import type { Chain } from "./rpc/chain/handler-chain.ts";
import { resealCredentials } from "./scheduler/encryption/credentials.ts";
import { checkKeys } from "./scheduler/encryption/missing-keys.ts";
import type { Server } from "./server/server.ts";
import { runningFileIn } from "./setup/data-dir.ts";
import { choosePort, portError } from "./setup/free-port.ts";
import { examplesDir } from "./setup/load-examples.ts";
import { MasterKeys } from "./setup/master-keys.ts";
import { prepareTenants, type Started } from "./setup/prepare-tenants.ts";
import { readClaimHealth } from "./storage/claims/claim-health.ts";

export type AppOptions = StorageOptions & {
  /** The folder of the examples; that of the project by default. */
  readonly examples?: string;
};

export class App implements Service {
  readonly #options: AppOptions;
  readonly #storage: Storage;
  readonly #masterKeys: MasterKeys;
  readonly #keyChecksums: KeyChecksums;
  readonly #execution: Execution;
  readonly #chain: Chain;
  readonly #server: Server;
  readonly #readyFile: ReadyFile;
  readonly #metricsServer: MetricsServer | undefined;
  /** Absent where no port is set for them. */
  readonly metrics: Metrics | undefined;
  #keySecrets: readonly KeySecret[] = [];
  #opened: Promise<void> | undefined;
  #isStarted = false;
  #stopped: Promise<void> | undefined;
  #started: Started = { keys: [], exampleEnvironmentIds: [] };

  constructor(options: AppOptions) {
    const { config, log } = options;
    this.#options = options;
    const metrics = config.metrics && new Metrics();
    this.metrics = metrics;
    this.#metricsServer =
      config.metrics && metrics && new MetricsServer({ ...config.metrics, text: () => metrics.text() });
    this.#storage = openStorage({ ...options, metrics });
    // Processes on an external database share it, and have no data folder of their own.
    const ownDir = config.databaseUrl === undefined ? config.dataDir : undefined;
    this.#readyFile = new ReadyFile({ configured: config.readyFile, own: ownDir && runningFileIn(ownDir) });
    this.#masterKeys = new MasterKeys({ configured: config.encryptionKeys, dataDir: ownDir });
    this.#keyChecksums = new KeyChecksums(() => this.#keySecrets);
    const parts = { config, log, metrics, storage: this.#storage, masterKeys: this.#masterKeys };
    this.#execution = createScheduler(parts);
    const { scheduler } = this.#execution;
    metrics?.attach({
      version: readVersion(),
      slots: config.limits.slots,
      load: () => scheduler.load,
      readHealth: () => readClaimHealth(this.#storage.database.db),
    });
    const isReady = () => this.#isStarted && scheduler.isReady();
    const { chain, server } = createApi({
      ...parts,
      execution: this.#execution,
      keyChecksums: this.#keyChecksums,
      isReady,
    });
    this.#chain = chain;
    this.#server = server;
  }

  get url(): string {
    return this.#server.url;
  }

  /** The URL of the metrics; undefined where there are none. Throws before `start()`. */
  get metricsUrl(): string | undefined {
    return this.#metricsServer?.url;
  }

  get started(): Started {
    return this.#started;
  }

  async start(): Promise<void> {
    const { config, log } = this.#options;
    await choosePort(config);
    await this.#readyFile.check();
    if (this.#metricsServer) {
      await this.#metricsServer.start();
      log.info({ url: this.metricsUrl }, "metrics are served");
    }
    await this.prepare();
    await this.serve();
    if (this.#stopped !== undefined) {
      return;
    }
    await this.#readyFile.write(this.url);
    log.info({ url: this.url, heapMib: heapLimitMib() }, "calls are accepted");
  }

  /** Prepares the database once for all workers: migrations, the first organisation, the examples, credentials under the newest key. */
  async prepare(): Promise<void> {
    await this.#open();
    this.#started = await this.#prepareTenants();
    const { sealing } = this.#execution;
    await resealCredentials({ ...this.#storage.stores, sealing, log: this.#options.log });
  }

  /** Starts one worker: everything from its database connections to the open port. */
  async serve(): Promise<void> {
    const { config } = this.#options;
    const { http, watchers, scheduler } = this.#execution;
    await this.#open();
    await this.#storage.notifier.start();
    await http.start();
    await watchers.start();
    await scheduler.start();
    if (this.#stopped !== undefined) {
      return;
    }
    this.#isStarted = true;
    await this.#server.start().catch((error: unknown) => {
      throw portError(config, error);
    });
    // `stop()` may have been called while the port opened, and found none to close.
    if (this.#stopped !== undefined) {
      await this.#server.stop();
    }
  }

  /** Graceful shutdown. It also ends a start that is in progress. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    await this.#stopped;
  }

  async #stopAll(): Promise<void> {
    const { embedded, database, notifier } = this.#storage;
    const { http, pool, watchers, scheduler } = this.#execution;
    await this.#readyFile.remove();
    await this.#server.retire();
    this.#isStarted = false;
    // Both at once: a call that arrives now must be refused with SHUTTING_DOWN, so that its client goes elsewhere.
    await Promise.all([scheduler.retire(), this.#server.stop()]);
    await scheduler.stop();
    await watchers.stop();
    await http.stop();
    await pool.stop();
    await this.#metricsServer?.stop();
    await notifier.stop();
    await database.stop();
    await embedded?.stop();
  }

  /** Starts what preparing and serving both need, and does nothing the second time. */
  async #open(): Promise<void> {
    this.#opened ??= (async () => {
      await this.#execution.pool.start();
      await this.#startDatabase();
      await this.#loadKeys();
    })();
    await this.#opened;
  }

  async #startDatabase(): Promise<void> {
    const { embedded, database } = this.#storage;
    await embedded?.start();
    await database.start().catch((error: unknown) => {
      if (this.#options.config.databaseUrl === undefined) {
        throw error;
      }
      throw new Error("the database that FLOWCALL_DATABASE_URL names cannot be used", { cause: error });
    });
  }

  async #loadKeys(): Promise<void> {
    const { config, log } = this.#options;
    const { stores } = this.#storage;
    const { sealing } = this.#execution;
    await this.#masterKeys.load(() => checkKeys({ ...stores, sealing, isAccepted: config.acceptsMissingKeys, log }));
    this.#keySecrets = await stores.apiKeys.listSecrets();
  }

  async #prepareTenants(): Promise<Started> {
    const { config, log, examples = examplesDir } = this.#options;
    const { invoke } = this.#chain;
    return await prepareTenants({
      ...this.#storage.stores,
      config,
      log,
      keyChecksums: this.#keyChecksums,
      invoke,
      examples,
    });
  }
}
