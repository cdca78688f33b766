import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Clock } from "../../domain/clock.ts";
import { RequestError } from "../../domain/request-error.ts";
import {
  Health,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.ts";
import { connectErrorOf } from "../connect/connect-error.ts";
import type { PublicService } from "../connect/connect-handler.ts";
import { ReadinessChanges } from "./readiness-changes.ts";

export type HealthOptions = {
  readonly isReady: () => boolean;
  /** The full names of the services that can be asked for, beside "" for the whole process. */
  readonly services: readonly string[];
  readonly clock: Clock;
};

/** The gRPC health service (grpc.health.v1): SERVING while the process can accept calls. Like `/readyz` it needs no key. */
export function createHealthService({ isReady, services, clock }: HealthOptions): PublicService {
  const changes = new ReadinessChanges({ isReady, clock });
  const known = new Set(["", ...services]);
  const statusNow = () => (isReady() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);

  const implementation: ServiceImpl<typeof Health> = {
    check: async ({ service }) => {
      if (!known.has(service)) {
        const error = new RequestError("RESOURCE_NOT_FOUND", "The service is not known here.", {
          metadata: { service },
        });
        throw connectErrorOf(error);
      }
      return create(HealthCheckResponseSchema, { status: statusNow() });
    },
    watch: async function* ({ service }, { signal }) {
      const statusOf = () => (known.has(service) ? statusNow() : ServingStatus.SERVICE_UNKNOWN);
      let last: ServingStatus | undefined;
      for (let isOver = false; ; isOver = signal.aborted) {
        const status = statusOf();
        if (status !== last) {
          yield create(HealthCheckResponseSchema, { status });
        }
        // The end of the service ends the watch too, and its status is sent before.
        if (isOver) {
          break;
        }
        last = status;
        if (statusOf() === last) {
          await changes.next(signal);
        }
      }
      const { reason } = signal;
      if (reason instanceof RequestError && reason.reason !== "SHUTTING_DOWN") {
        throw connectErrorOf(reason);
      }
    },
  };
  return { service: Health, register: (router) => router.service(Health, implementation) };
}
