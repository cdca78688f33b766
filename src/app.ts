// Puts the parts together, starts them and stops them.
//
// The port opens first, so that `/healthz` answers while the database is still waited for; until everything runs,
// `/readyz` is 503 and calls are refused as UNAVAILABLE. Then the parts start bottom up, and they stop top down.

import { rm } from "node:fs/promises";
import type { MigrationProvider } from "kysely/migration";
import type { Logger } from "pino";
import { createApiPages } from "./api-pages.ts";
import type { Config } from "./config.ts";
import { systemClock } from "./domain/clock.ts";
import { KeyChecksums, type KeySecret } from "./domain/key-checksum.ts";
import type { Service } from "./domain/service.ts";
import { makeEncryptionKey, readEncryptionKey } from "./encryption-key.ts";
import { Definitions } from "./engine/definitions.ts";
import { HttpClient } from "./engine/http/http-client.ts";
import { ProcessPool } from "./engine/pool/process-pool.ts";
import { Turns } from "./engine/turns.ts";
import { examplesDir, loadExamples, readSeed } from "./examples.ts";
import { type FirstKeys, foundFirstOrganization } from "./first-run.ts";
import { createGateway } from "./gateway/gateway.ts";
import { Scope } from "./gen/flowcall/v1/options_pb.ts";
import { Health } from "./gen/grpc/health/v1/health_pb.ts";
import { heapLimitMib } from "./memory-limits.ts";
import { restReplies } from "./rest-replies.ts";
import { createApiKeyService } from "./rpc/api-key-service.ts";
import { createAuditService } from "./rpc/audit-service.ts";
import { createConfigService } from "./rpc/config-service.ts";
import { createConnectDoor } from "./rpc/connect-door.ts";
import { createConnectionService } from "./rpc/connection-service.ts";
import { createExecutionService } from "./rpc/execution-service.ts";
import { type Chain, createChain, refusalOf } from "./rpc/handler-chain.ts";
import { createHealthService } from "./rpc/health-service.ts";
import { createIntegrationService } from "./rpc/integration-service.ts";
import { createLinkedAccountService } from "./rpc/linked-account-service.ts";
import { createReflectionServices } from "./rpc/reflection-service.ts";
import { createWorkflowService } from "./rpc/workflow-service.ts";
import { resealCredentials } from "./scheduler/credentials.ts";
import { checkKeys } from "./scheduler/missing-keys.ts";
import { RequestRates } from "./scheduler/request-rates.ts";
import { Scheduler } from "./scheduler/scheduler.ts";
import { Sealing } from "./scheduler/sealing.ts";
import { WatchTokens } from "./scheduler/watch-tokens.ts";
import { Watchers } from "./scheduler/watchers.ts";
import { Authenticator } from "./server/authenticate.ts";
import { Server } from "./server/server.ts";
import { TokenBearers } from "./server/token-bearers.ts";
import { Database } from "./storage/database.ts";
import { EmbeddedPostgres } from "./storage/embedded/embedded-postgres.ts";
import { isUnavailable } from "./storage/faults.ts";
import { Hints } from "./storage/hints.ts";
import { openStores, type Stores } from "./storage/stores.ts";
import { writeWholeFile } from "./whole-file.ts";

export type AppOptions = {
  readonly config: Config;
  readonly log: Logger;
  /** Where the examples are read from. */
  readonly examples?: string;
  /** What brings the tables up to date; the migrations of this version where it is not set. */
  readonly migrations?: MigrationProvider;
  /** Opens what it remembers with, on its database; `openStores` where it is not set. */
  readonly open?: (database: Database) => Stores;
};

export class App implements Service {
  readonly #options: AppOptions;
  readonly #embedded: EmbeddedPostgres | undefined;
  readonly #database: Database;
  readonly #hints: Hints;
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
  #encryptionKeys: readonly Buffer[];
  #keySecrets: readonly KeySecret[] = [];
  #isStarted = false;
  #stopped: Promise<void> | undefined;
  #firstKeys: FirstKeys | undefined;

  constructor(options: AppOptions) {
    const { config, log, migrations, open = openStores } = options;
    const { limits } = config;
    this.#options = options;
    this.#encryptionKeys = config.encryptionKeys;
    const { databaseUrl, dataDir } = config;
    const embedded = new EmbeddedPostgres({ dataDir, log });
    this.#embedded = databaseUrl === undefined ? embedded : undefined;
    const connection = () => (databaseUrl === undefined ? embedded.connection : { url: databaseUrl });
    this.#database = new Database({ connection, log, ...(migrations !== undefined && { migrations }) });
    this.#hints = new Hints({ connection, log });
    const stores = open(this.#database);
    const { events, executions, leases, reader, workflows } = stores;
    this.#stores = stores;
    this.#http = new HttpClient({ allow: config.egressAllow });
    this.#watchers = new Watchers({ events, limits, log });
    const sealing = new Sealing(() => this.#encryptionKeys);
    this.#checkKeys = () => checkKeys({ ...stores, sealing, isAccepted: config.acceptsMissingKeys, log });
    this.#reseal = () => resealCredentials({ ...stores, sealing, log });
    const watchTokens = new WatchTokens(() => this.#encryptionKeys, systemClock);
    const rates = new RequestRates(limits);
    this.#pool = new ProcessPool(limits);
    const turns = new Turns();
    const definitions = new Definitions({ limits, pool: this.#pool, turns });
    this.#scheduler = new Scheduler({
      rates,
      http: this.#http,
      pool: this.#pool,
      turns,
      definitions,
      executions,
      reader,
      hints: this.#hints,
      onRecorded: (ids) => this.#watchers.wake(ids),
      workflows,
      configs: stores.configs,
      leases,
      dayBytes: stores.dayBytes,
      sealing,
      isUnavailable,
      limits,
      clock: systemClock,
      log,
    });
    const refused = (error: unknown) => Promise.reject(refusalOf(error, isUnavailable));
    const authenticator = new Authenticator({
      originOf: (key) => this.#keyChecksums.originOf(key),
      find: (hash) => stores.apiKeys.findPrincipal(hash).catch(refused),
      findUnsigned: (hash) => stores.apiKeys.findUnsigned(hash).catch(refused),
      findByName: (name) => stores.apiKeys.findPrincipalByName(name).catch(refused),
      limits: config.serverLimits,
      clock: systemClock,
    });
    this.#hints.on("keys", (keyIds) => authenticator.forget(keyIds));
    const implementations = [
      createExecutionService({
        scheduler: this.#scheduler,
        executions,
        reader,
        watchers: this.#watchers,
        watchTokens,
        workflows,
        limits,
        clock: systemClock,
      }),
      createWorkflowService({
        workflows,
        reader,
        scheduler: this.#scheduler,
        definitions,
        pool: this.#pool,
        limits,
        clock: systemClock,
        publicUrl: config.publicUrl,
      }),
      createIntegrationService(stores),
      createLinkedAccountService({ ...stores, limits }),
      createApiKeyService({
        ...stores,
        newKey: (environment) => this.#keyChecksums.newKey(environment),
        onEnded: (keyId) => {
          authenticator.forget([keyId]);
          this.#hints.tell("keys", keyId);
        },
      }),
      createAuditService(stores),
      createConfigService({ ...stores, limits }),
      createConnectionService({ ...stores, sealing, limits }),
    ];
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
      doors: [
        createConnectDoor({
          implementations,
          open: [health, ...createReflectionServices([...services, Health])],
          chain: this.#chain,
          limits,
          log,
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
      tokens: new TokenBearers({ tokens: watchTokens, keys: authenticator, clock: systemClock }),
      count: (principal) => rates.take(principal),
      isReady,
      limits: config.serverLimits,
      corsOrigins: config.corsOrigins,
      log,
    });
  }

  get url(): string {
    return this.#server.url;
  }

  /** The keys, when this start founded the first organisation. */
  get firstKeys(): FirstKeys | undefined {
    return this.#firstKeys;
  }

  async start(): Promise<void> {
    const { config, log } = this.#options;
    await this.#server.start();
    log.info({ url: this.url }, "the port is open");
    await this.#pool.start();
    await this.#embedded?.start();
    await this.#database.start();
    await this.#findKeys();
    this.#keySecrets = await this.#stores.apiKeys.listSecrets();
    await this.#foundAndLoad();
    await this.#hints.start();
    await this.#reseal();
    await this.#http.start();
    await this.#watchers.start();
    await this.#scheduler.start();
    if (this.#stopped !== undefined) return;
    this.#isStarted = true;
    if (config.readyFile !== undefined) {
      const text = `${JSON.stringify({ url: this.url, pid: process.pid })}\n`;
      await writeWholeFile(config.readyFile, { text, mode: 0o644 });
    }
    log.info({ url: this.url, heapMib: heapLimitMib() }, "calls are accepted");
  }

  /** Also ends a start that is under way. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    await this.#stopped;
  }

  async #stopAll(): Promise<void> {
    const { config } = this.#options;
    if (config.readyFile !== undefined) await rm(config.readyFile, { force: true });
    await this.#server.retire();
    this.#isStarted = false;
    // At once: a call that comes now is to be told that the process stops, and goes elsewhere.
    await Promise.all([this.#scheduler.retire(), this.#server.stop()]);
    await this.#scheduler.stop();
    await this.#watchers.stop();
    await this.#http.stop();
    await this.#pool.stop();
    await this.#hints.stop();
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

  async #foundAndLoad(): Promise<void> {
    const { config, examples = examplesDir } = this.#options;
    const seed = config.examples ? await readSeed(examples) : undefined;
    const { tenants } = this.#stores;
    this.#firstKeys = await foundFirstOrganization({ config, tenants, keyChecksums: this.#keyChecksums, seed });
    if (seed === undefined) return;
    const scopes = [Scope.READ, Scope.AUTHOR];
    for (const environment of await tenants.listEnvironments(seed.organization)) {
      await loadExamples(examples, this.#chain.invoke, { ...environment, keyId: "examples", scopes });
    }
  }
}
