import { z } from "zod";
import { metricsSnapshot } from "../metrics/metrics-snapshot.ts";

/** A message of a worker: its heartbeat, the URL at which it accepts calls, why it could not start, or its metrics. */
export const workerReport = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("alive") }),
  z.object({ kind: z.literal("ready"), url: z.string() }),
  z.object({ kind: z.literal("failed"), causes: z.array(z.string()).readonly() }),
  z.object({ kind: z.literal("metrics"), snapshot: metricsSnapshot }),
]);

export type WorkerReport = z.infer<typeof workerReport>;

/** A message of the supervisor. All workers get one port, also where the configured one is any that is free. */
export const workerOrder = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("start"), port: z.number() }),
  z.object({ kind: z.literal("stop") }),
  z.object({ kind: z.literal("metrics") }),
]);

export type WorkerOrder = z.infer<typeof workerOrder>;
