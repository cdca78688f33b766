import type { MetricsText } from "../metrics/metrics-server.ts";
import { aggregate, type MetricsSnapshot, snapshotOf } from "../metrics/metrics-snapshot.ts";

/** A worker that does not answer a scrape in time counts with what it answered last. */
const answerMs = 2_000;

/** A process that can be asked for its metrics: it answers undefined where it has none in time. */
export type MetricsSource = { readMetrics(ms: number): Promise<MetricsSnapshot | undefined> };

/** The metrics of all workers as one. What a process that has ended had counted stays, so that no counter goes back. */
export class WorkerMetrics {
  readonly #last = new Map<MetricsSource, MetricsSnapshot>();
  #ended: readonly MetricsSnapshot[] = [];

  add(source: MetricsSource): void {
    this.#last.set(source, []);
  }

  /** What a process has counted since its last scrape is lost with it. */
  remove(source: MetricsSource): void {
    const counted = this.#last.get(source)?.filter(({ type }) => type !== "gauge") ?? [];
    this.#last.delete(source);
    this.#ended = [...this.#ended, counted];
  }

  async text(): Promise<MetricsText> {
    await Promise.all(
      [...this.#last.keys()].map(async (source) => {
        const snapshot = await source.readMetrics(answerMs);
        if (snapshot !== undefined && this.#last.has(source)) {
          this.#last.set(source, snapshot);
        }
      }),
    );
    const ended = this.#ended;
    if (ended.length > 1) {
      const sum = await snapshotOf(aggregate(ended));
      this.#ended = [sum, ...this.#ended.slice(ended.length)];
    }
    const all = aggregate([...this.#ended, ...this.#last.values()]);
    return { type: all.contentType, body: await all.metrics() };
  }
}
