// Puts the parts together, starts them and stops them.
//
// The parts start bottom up and stop top down. The port opens last, when calls are accepted: until then a proxy meets a
// refused connection and sends its call elsewhere.

import type { Logger } from "pino";
import { createApiPages } from "./api-docs/api-pages.ts";
import type { Config } from "./config.ts";
import { systemClock } from "./domain/clock.ts";
import { KeyChecksums, type KeySecret } from "./domain/keys/key-checksum.ts";
import type { Service } from "./domain/service.ts";
import { Definitions } from "./engine/definitions.ts";
import { HttpClient } from "./engine/http/http-client.ts";
import { ProcessPool } from "./engine/pool/process-pool.ts";
import { EventLoopYielder } from "./engine/run/event-loop-yielder.ts";
import { restReplies } from "./gateway/execute-reply.ts";
import { createGateway } from "./gateway/gateway.ts";
import { Health } from "./gen/grpc/health/v1/health_pb.ts";
import { heapLimitMib } from "./process/memory-limits.ts";
import { ReadyFile } from "./process/ready-file.ts";
import { type Chain, callRefusal, createChain } from "./rpc/chain/handler-chain.ts";
import { RateLimiter } from "./rpc/chain/rate-limit.ts";
import { createConnectHandler } from "./rpc/connect/connect-handler.ts";
import { createServices } from "./rpc/create-services.ts";
import { createHealthService } from "./rpc/grpc/health-service.ts";
import { createReflectionServices } from "./rpc/grpc/reflection-service.ts";
import { resealCredentials } from "./scheduler/encryption/credentials.ts";
import { checkKeys } from "./scheduler/encryption/missing-keys.ts";
import { Sealing } from "./scheduler/encryption/sealing.ts";
import { WatchTokens } from "./scheduler/encryption/watch-tokens.ts";
import { createSchedulerEvents } from "./scheduler/run/scheduler-events.ts";
import { VersionCache } from "./scheduler/run/version-cache.ts";
import { Scheduler } from "./scheduler/scheduler.ts";
import { Watchers } from "./scheduler/waiting/watchers.ts";
import { Authenticator } from "./server/authentication/authenticator.ts";
import { WatchTokenAuthenticator } from "./server/authentication/watch-token-authenticator.ts";
import { Server } from "./server/server.ts";
import { runningFileIn } from "./setup/data-dir.ts";
import { makeEncryptionKey, readEncryptionKey } from "./setup/encryption-key-file.ts";
import { portError, requireFreePort } from "./setup/free-port.ts";
import { examplesDir } from "./setup/load-examples.ts";
import { prepareTenants, type Started } from "./setup/prepare-tenants.ts";
import { EmbeddedPostgres } from "./storage/embedded/embedded-postgres.ts";
import type { MigrationsFor } from "./storage/migrations/migrations.ts";
import { Database } from "./storage/postgres/database.ts";
import { isUnavailable } from "./storage/postgres/database-errors.ts";
import { Notifier } from "./storage/postgres/notifier.ts";
import { openStores, type Stores } from "./storage/stores.ts";

export type AppOptions = {
  readonly config: Config;
  readonly log: Logger;
  /** Where the examples are read from. */
  readonly examples?: string;
  /** What brings the tables up to date; the migrations of this version where it is not set. */
  readonly migrations?: MigrationsFor;
  /** Opens what it remembers with, on its database; `openStores` where it is not set. */
  readonly open?: (database: Database) => Stores;
};

export class App implements Service {
  readonly #options: AppOptions;
  readonly #embedded: EmbeddedPostgres | undefined;
  readonly #database: Database;
  readonly #notifier: Notifier;
  readonly #stores: Pick<Stores, "apiKeys" | "tenants">;
  readonly #keyChecksums = new KeyChecksums(() => this.#keySecrets);
  readonly #http: HttpClient;
  readonly #pool: ProcessPool;
  readonly #watchers: Watchers;
  readonly #scheduler: Scheduler;
  readonly #chain: Chain;
  readonly #checkKeys: () => Promise<void>;
  readonly #reseal: () => Promise<void>;
  readonly #server: Server;
  readonly #readyFile: ReadyFile;
  #encryptionKeys: readonly Buffer[];
  #keySecrets: readonly KeySecret[] = [];
  #isStarted = false;
  #stopped: Promise<void> | undefined;
  #started: Started = { keys: [], exampleEnvironmentIds: [] };

  constructor(options: AppOptions) {
    const { config, log, migrations, open = openStores } = options;
    const { limits } = config;
    this.#options = options;
    this.#encryptionKeys = config.encryptionKeys;
    const { databaseUrl, dataDir } = config;
    const embedded = new EmbeddedPostgres({ dataDir, log });
    this.#embedded = databaseUrl === undefined ? embedded : undefined;
    // Several processes on one external database have no folder of their own.
    const own = this.#embedded && runningFileIn(dataDir);
    this.#readyFile = new ReadyFile({ told: config.readyFile, own });
    const connection = () => (databaseUrl === undefined ? embedded.connection : { url: databaseUrl });
    this.#database = new Database({ connection, log, ...(migrations !== undefined && { migrations }) });
    this.#notifier = new Notifier({ connection, log });
    const stores = open(this.#database);
    const { events } = stores;
    this.#stores = stores;
    this.#http = new HttpClient({ allow: config.egressAllow });
    const schedulerEvents = createSchedulerEvents();
    this.#watchers = new Watchers({ journals: events, events: schedulerEvents, limits, clock: systemClock, log });
    const sealing = new Sealing(() => this.#encryptionKeys);
    this.#checkKeys = () => checkKeys({ ...stores, sealing, isAccepted: config.acceptsMissingKeys, log });
    this.#reseal = () => resealCredentials({ ...stores, sealing, log });
    const watchTokens = new WatchTokens(() => this.#encryptionKeys, systemClock);
    const rates = new RateLimiter(limits, systemClock);
    this.#pool = new ProcessPool(limits);
    const yielder = new EventLoopYielder();
    const definitions = new Definitions({ limits, pool: this.#pool, yielder });
    const versions = new VersionCache({ versions: stores.versions, definitions, limits });
    this.#scheduler = new Scheduler({
      ...stores,
      rates,
      http: this.#http,
      pool: this.#pool,
      yielder,
      definitions,
      versions,
      notifier: this.#notifier,
      events: schedulerEvents,
      sealing,
      isUnavailable,
      limits,
      clock: systemClock,
      log,
    });
    const refused = (error: unknown) => Promise.reject(callRefusal(error, isUnavailable));
    const authenticator = new Authenticator({
      originOf: (key) => this.#keyChecksums.originOf(key),
      find: (hash) => stores.apiKeys.findPrincipal(hash).catch(refused),
      findUnsigned: (hash) => stores.apiKeys.findUnsigned(hash).catch(refused),
      findByName: (name) => stores.apiKeys.findPrincipalByName(name).catch(refused),
      limits: config.serverLimits,
      clock: systemClock,
    });
    this.#notifier.listen("keys", (keyIds) => authenticator.invalidate(keyIds));
    const implementations = createServices({
      stores,
      scheduler: this.#scheduler,
      versions,
      watchers: this.#watchers,
      watchTokens,
      definitions,
      pool: this.#pool,
      sealing,
      newKey: (environment) => this.#keyChecksums.newKey(environment),
      onKeyEnded: (keyId) => {
        authenticator.invalidate([keyId]);
        this.#notifier.notify("keys", keyId);
      },
      limits,
      clock: systemClock,
      publicUrl: config.publicUrl,
    });
    const isReady = () => this.#isStarted && this.#scheduler.isReady();
    this.#chain = createChain({ implementations, callers: this.#database.callers, isUnavailable, log });
    const services = implementations.map(({ service }) => service);
    const health = createHealthService({
      isReady,
      services: services.map(({ typeName }) => typeName),
      clock: systemClock,
    });
    this.#server = new Server({
      host: config.host,
      port: config.port,
      protocolHandlers: [
        createConnectHandler({
          implementations,
          publicServices: [health, ...createReflectionServices([...services, Health])],
          chain: this.#chain,
          limits,
        }),
        createGateway({
          services,
          ...this.#chain,
          limits,
          clock: systemClock,
          replies: restReplies,
          report: (error, { requestId }) => log.error({ requestId, err: error }, "a reply could not be written"),
        }),
      ],
      pages: createApiPages(services),
      keys: authenticator,
      tokens: new WatchTokenAuthenticator({ tokens: watchTokens, keys: authenticator, clock: systemClock }),
      rates,
      isReady,
      limits: config.serverLimits,
      corsOrigins: config.corsOrigins,
      log,
    });
  }

  get url(): string {
    return this.#server.url;
  }

  get started(): Started {
    return this.#started;
  }

  async start(): Promise<void> {
    const { config, log, examples = examplesDir } = this.#options;
    await requireFreePort(config);
    await this.#readyFile.check();
    await this.#pool.start();
    await this.#embedded?.start();
    await this.#startDatabase();
    await this.#findKeys();
    this.#keySecrets = await this.#stores.apiKeys.listSecrets();
    const { invoke } = this.#chain;
    const keyChecksums = this.#keyChecksums;
    this.#started = await prepareTenants({ ...this.#stores, config, log, keyChecksums, invoke, examples });
    await this.#notifier.start();
    await this.#reseal();
    await this.#http.start();
    await this.#watchers.start();
    await this.#scheduler.start();
    if (this.#stopped !== undefined) return;
    this.#isStarted = true;
    await this.#server.start().catch((error: unknown) => {
      throw portError(config, error);
    });
    // Who stopped it while the port opened did not find one to close.
    if (this.#stopped !== undefined) return await this.#server.stop();
    await this.#readyFile.write(this.url);
    log.info({ url: this.url, heapMib: heapLimitMib() }, "calls are accepted");
  }

  /** Also ends a start that is under way. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    await this.#stopped;
  }

  async #stopAll(): Promise<void> {
    await this.#readyFile.remove();
    await this.#server.retire();
    this.#isStarted = false;
    // At once: a call that comes now is to be told that the process stops, and goes elsewhere.
    await Promise.all([this.#scheduler.retire(), this.#server.stop()]);
    await this.#scheduler.stop();
    await this.#watchers.stop();
    await this.#http.stop();
    await this.#pool.stop();
    await this.#notifier.stop();
    await this.#database.stop();
    await this.#embedded?.stop();
  }

  /** A key that is lost is not replaced in silence where something needs it. */
  async #findKeys(): Promise<void> {
    const { dataDir, encryptionKeys } = this.#options.config;
    const isOwn = this.#embedded !== undefined && encryptionKeys.length === 0;
    const read = async () => {
      const key = isOwn ? await readEncryptionKey(dataDir) : undefined;
      if (key !== undefined) this.#encryptionKeys = [key];
      return key;
    };
    const isMade = (await read()) !== undefined;
    await this.#checkKeys();
    if (!isOwn || isMade) return;
    await makeEncryptionKey(dataDir);
    await read();
  }

  async #startDatabase(): Promise<void> {
    await this.#database.start().catch((error: unknown) => {
      if (this.#embedded !== undefined) throw error;
      throw new Error("the database that FLOWCALL_DATABASE_URL names cannot be used", { cause: error });
    });
  }
}
