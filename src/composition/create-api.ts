import type { Logger } from "pino";
import { createApiPages } from "../api-docs/api-pages.ts";
import type { Config } from "../config.ts";
import { systemClock } from "../domain/clock.ts";
import type { KeyChecksums } from "../domain/keys/key-checksum.ts";
import { allowsHost } from "../engine/http/egress-allow-list.ts";
import { createGateway } from "../gateway/gateway.ts";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { readVersion } from "../process/version.ts";
import { type Chain, callRefusal, createChain } from "../rpc/chain/handler-chain.ts";
import { createConnectHandler } from "../rpc/connect/connect-handler.ts";
import { createServices } from "../rpc/create-services.ts";
import { createHealthService } from "../rpc/grpc/health-service.ts";
import { createReflectionServices } from "../rpc/grpc/reflection-service.ts";
import { WatchTokens } from "../scheduler/encryption/watch-tokens.ts";
import { Authenticator } from "../server/authentication/authenticator.ts";
import { WatchTokenAuthenticator } from "../server/authentication/watch-token-authenticator.ts";
import { Server } from "../server/server.ts";
import { createWebhookHandler } from "../server/webhooks/webhook-handler.ts";
import type { MasterKeys } from "../setup/master-keys.ts";
import { isUnavailable } from "../storage/postgres/database-errors.ts";
import type { Execution } from "./create-scheduler.ts";
import type { Storage } from "./open-storage.ts";

export type ApiOptions = {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Metrics | undefined;
  readonly storage: Storage;
  readonly execution: Execution;
  readonly keyChecksums: KeyChecksums;
  readonly masterKeys: MasterKeys;
  readonly isReady: () => boolean;
};

/** Everything that callers reach: the services in their handler chain, on every protocol, and the server in front. */
export type Api = { readonly chain: Chain; readonly server: Server };

export function createApi(options: ApiOptions): Api {
  const { config, log, metrics, storage, execution, keyChecksums, masterKeys, isReady } = options;
  const { limits } = config;
  const authenticator = createAuthenticator(options);
  const watchTokens = new WatchTokens(() => masterKeys.all, systemClock);
  const { stores, notifier } = storage;
  const implementations = createServices({
    ...execution,
    stores,
    watchTokens,
    newKey: (environment) => keyChecksums.newKey(environment),
    onKeyEnded: (keyId) => {
      authenticator.invalidate([keyId]);
      notifier.notify("keys", keyId);
    },
    onChange: () => notifier.notify("webhooks"),
    allowsHttp: (url) => allowsHost(config.egressAllow, url),
    onScheduleChanged: () => notifier.notify("schedules"),
    limits,
    clock: systemClock,
    publicUrl: config.publicUrl,
  });
  const chain = createChain({ implementations, callers: storage.database.callers, isUnavailable, log });
  const services = implementations.map(({ service }) => service);
  const typeNames = services.map(({ typeName }) => typeName);
  const health = createHealthService({ isReady, services: typeNames, clock: systemClock });
  const publicServices = [health, ...createReflectionServices([...services, Health])];
  const server = new Server({
    host: config.host,
    port: config.port,
    protocolHandlers: [
      createWebhookHandler({
        tokens: execution.webhookTokens,
        resume: (...resumption) => execution.scheduler.resumeNode(...resumption),
        refusalOf: (error) => callRefusal(error, isUnavailable),
        limits,
      }),
      createConnectHandler({ implementations, publicServices, chain, limits }),
      createGateway({
        services,
        ...chain,
        limits,
        clock: systemClock,
        report: (error, { requestId }) => log.error({ requestId, err: error }, "a reply could not be written"),
      }),
    ],
    pages: createApiPages(services),
    keys: authenticator,
    tokens: new WatchTokenAuthenticator({ tokens: watchTokens, keys: authenticator, clock: systemClock }),
    rates: execution.rates,
    yielder: execution.yielder,
    isReady,
    version: readVersion(),
    limits: config.serverLimits,
    corsOrigins: config.corsOrigins,
    onEnd: metrics?.onEnd,
    log,
  });
  return { chain, server };
}

function createAuthenticator({ config, storage, keyChecksums }: ApiOptions): Authenticator {
  const { apiKeys } = storage.stores;
  const refused = (error: unknown) => Promise.reject(callRefusal(error, isUnavailable));
  const authenticator = new Authenticator({
    originOf: (key) => keyChecksums.originOf(key),
    find: (hash) => apiKeys.findPrincipal(hash).catch(refused),
    findUnsigned: (hash) => apiKeys.findUnsigned(hash).catch(refused),
    findByName: (name) => apiKeys.findPrincipalByName(name).catch(refused),
    limits: config.serverLimits,
    clock: systemClock,
  });
  storage.notifier.listen("keys", (keyIds) => authenticator.invalidate(keyIds));
  return authenticator;
}
