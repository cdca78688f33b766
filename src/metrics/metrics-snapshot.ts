import { AggregatorRegistry, type Registry } from "prom-client";
import { z } from "zod";

/** All metrics of a process with their values, as prom-client writes them. */
export const metricsSnapshot = z.array(z.looseObject({ name: z.string(), type: z.string() })).readonly();

export type MetricsSnapshot = z.infer<typeof metricsSnapshot>;

export async function snapshotOf(registry: Registry): Promise<MetricsSnapshot> {
  // prom-client declares the type as an enum that does not exist when it runs.
  return (await registry.getMetricsAsJSON()) as unknown as MetricsSnapshot;
}

/** Makes one of the metrics of several processes: each says itself how its values are put together. */
export function aggregate(snapshots: readonly MetricsSnapshot[]): Registry {
  return AggregatorRegistry.aggregate([...snapshots]);
}
