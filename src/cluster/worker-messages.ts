import { z } from "zod";

/** A message of a worker: its heartbeat, the URL at which it accepts calls, or why it could not start. */
export const workerReport = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("alive") }),
  z.object({ kind: z.literal("ready"), url: z.string() }),
  z.object({ kind: z.literal("failed"), causes: z.array(z.string()).readonly() }),
]);

export type WorkerReport = z.infer<typeof workerReport>;

/** A message of the supervisor. All workers get one port, also where the configured one is any that is free. */
export const workerOrder = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("start"), port: z.number() }),
  z.object({ kind: z.literal("stop") }),
]);

export type WorkerOrder = z.infer<typeof workerOrder>;
