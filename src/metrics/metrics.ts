/*
 * What a process counts of its work, for Prometheus.
 *
 * - The parts know nothing of metrics: they call back, or emit events, where something has happened.
 * - What a part knows anyway, such as how many executions run, is read when it is asked for (a scrape).
 * - No error here reaches a part, and a scrape waits for nothing but, for a moment, the database.
 */
import { Code } from "@connectrpc/connect";
import { type Aggregator, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { systemClock } from "../domain/clock.ts";
import { settlesWithin } from "../domain/deadline.ts";
import type { NodeRun } from "../domain/execution.ts";
import { reasons } from "../domain/reason.ts";
import type { RequestError } from "../domain/request-error.ts";
import { unreachable } from "../domain/unreachable.ts";
import type { GraphNode } from "../engine/graph/graph.ts";
import type { SchedulerEvents } from "../scheduler/run/scheduler-events.ts";
import type { EndedRequest } from "../server/requests/ended-request.ts";
import type { ClaimHealth } from "../storage/claims/claim-health.ts";
import { type MetricName, type MetricRow, metricTable } from "./metric-table.ts";
import type { MetricsText } from "./metrics-server.ts";
import { type MetricsSnapshot, snapshotOf } from "./metrics-snapshot.ts";

/** What is read at a scrape. */
export type MetricSources = {
  readonly version: string;
  readonly slots: number;
  readonly load: () => { readonly running: number; readonly queued: number; readonly leaseAgeMs: number };
  /** Reads what the database knows of all claims. */
  readonly readHealth: () => Promise<ClaimHealth>;
};

type Labels = Readonly<Record<string, string>>;

/** The database is asked at most this often, and a scrape waits no longer than this for its answer. */
const healthMs = 10_000;
const healthWaitMs = 1_000;

export class Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #histograms = new Map<MetricName, Histogram>();
  #sources: MetricSources | undefined;
  #healthTime = Number.NEGATIVE_INFINITY;

  constructor() {
    // Object.entries loses the names.
    for (const [name, row] of Object.entries(metricTable) as [MetricName, MetricRow][]) {
      this.#create(name, row);
    }
    // Event-loop lag, garbage collection, memory and CPU.
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Counts what the scheduler says. */
  listen(events: SchedulerEvents): void {
    events.on("accepted", ({ source, type }) => this.#count("flowcall_executions_accepted_total", { source, type }));
    events.on("finished", ({ execution: { type }, outcome: { state }, ms }) => {
      this.#count("flowcall_executions_ended_total", { state, type });
      this.#observe("flowcall_execution_duration_seconds", ms, { state, type });
    });
    events.on("expired", ({ state }) => this.#count("flowcall_executions_ended_total", { state, type: "unknown" }));
    events.on("fenced", () => this.#count("flowcall_fenced_writes_total", {}));
    events.on("claimed", ({ dueTime, isQuarantined }) => {
      if (dueTime === 0) {
        this.#count("flowcall_taken_over_total", {});
      } else {
        this.#observe("flowcall_execution_queue_seconds", Date.now() - dueTime, {});
      }
      if (isQuarantined) {
        this.#count("flowcall_quarantined_total", {});
      }
    });
  }

  /** `Run.onRecord`. */
  readonly onRecord = ({ kind }: GraphNode, { path, state, error, start_time, end_time }: NodeRun): void => {
    if (error !== undefined) {
      this.#count("flowcall_node_failures_total", { kind, reason: error.reason });
    }
    // The records of attempts and waits have a mark in their path; that of the node itself has none.
    if (!path.includes("#")) {
      this.#count("flowcall_node_runs_total", { kind, state });
      this.#observe("flowcall_node_duration_seconds", end_time - start_time, { kind });
    }
  };

  /** `BatchLimits.onAnswered`. */
  readonly onAnswered = (statement: string, rows: number, ms: number): void => {
    this.#observe("flowcall_commit_seconds", ms, { statement });
    this.#count("flowcall_commit_rows_total", { statement }, rows);
  };

  /** `RequestPipelineOptions.onEnd`. */
  readonly onEnd = ({ route, method, status, refusal, ms }: EndedRequest): void => {
    if (refusal !== undefined) {
      const { reason, details } = refusal;
      this.#count("flowcall_refused_total", { reason, limit: details.metadata?.["limit"] ?? "" });
    }
    if (route?.name === undefined || route.isStream === true) {
      return;
    }
    const { name, protocol } = route;
    if (protocol === "rest") {
      const labels = { http_request_method: method, http_route: name, http_response_status_code: String(status) };
      this.#observe("http_server_request_duration_seconds", ms, labels);
    } else {
      const labels = {
        rpc_system_name: protocol === "connect" ? "connectrpc" : "grpc",
        rpc_method: name.slice(1),
        rpc_response_status_code: rpcStatus(refusal),
      };
      this.#observe("rpc_server_call_duration_seconds", ms, labels);
    }
  };

  /** Says what a scrape reads. */
  attach(sources: MetricSources): void {
    this.#sources = sources;
  }

  async text(): Promise<MetricsText> {
    await this.#read();
    return { type: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  /** The same for another process, which aggregates it. */
  async snapshot(): Promise<MetricsSnapshot> {
    await this.#read();
    return await snapshotOf(this.#registry);
  }

  /** Reads what is not counted as it happens. */
  async #read(): Promise<void> {
    if (this.#sources === undefined) {
      return;
    }
    const { version, slots, load, readHealth } = this.#sources;
    const { running, queued, leaseAgeMs } = load();
    this.#gauges.get("flowcall_build_info")?.set({ version }, 1);
    this.#set("flowcall_workers", 1);
    this.#set("flowcall_slots", slots);
    this.#set("flowcall_executions_running", running);
    this.#set("flowcall_executions_queued", queued);
    if (Number.isFinite(leaseAgeMs)) {
      this.#set("flowcall_lease_age_seconds", leaseAgeMs / 1000);
    }
    const now = performance.now();
    if (now - this.#healthTime >= healthMs) {
      this.#healthTime = now;
      await settlesWithin(healthWaitMs, this.#readHealth(readHealth), systemClock);
    }
  }

  /** Where the database is away, the values are those of its last answer. */
  async #readHealth(readHealth: MetricSources["readHealth"]): Promise<void> {
    const health = await readHealth().catch(() => undefined);
    if (health !== undefined) {
      this.#set("flowcall_orphans", health.orphans);
      this.#set("flowcall_queue_oldest_seconds", health.oldestSeconds);
    }
  }

  #count(name: MetricName, labels: Labels, by = 1): void {
    this.#counters.get(name)?.inc(labels, by);
  }

  #observe(name: MetricName, ms: number, labels: Labels): void {
    this.#histograms.get(name)?.observe(labels, Math.max(0, ms) / 1000);
  }

  #set(name: MetricName, value: number): void {
    this.#gauges.get(name)?.set(value);
  }

  #create(name: MetricName, { kind, help, labels = [], buckets = [], over = "sum" }: MetricRow): void {
    const aggregator: Aggregator = over;
    const options = { name, help, labelNames: [...labels], registers: [this.#registry], aggregator };
    switch (kind) {
      case "counter":
        this.#counters.set(name, new Counter(options));
        break;
      case "gauge":
        this.#gauges.set(name, new Gauge(options));
        break;
      case "histogram":
        this.#histograms.set(name, new Histogram({ ...options, buckets: [...buckets] }));
        break;
      default:
        unreachable(kind);
    }
  }
}

/** The name of the gRPC status of a call, as `OK` or `NOT_FOUND`. */
function rpcStatus(refusal: RequestError | undefined): string {
  const name = refusal === undefined ? "Ok" : (Code[reasons[refusal.reason].code] ?? "Unknown");
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
