// The metrics of Flowcall: a row for each, with its labels and its line in docs/metrics.md.
//
// Names and units are those of Prometheus (https://prometheus.io/docs/practices/naming/), and of OpenTelemetry's semantic
// conventions for requests. No label is an id or a text of a tenant, so that the number of time series is bounded.

/** Seconds, from the shortest call to the longest execution. */
const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200];
const shortSeconds = seconds.filter((bound) => bound <= 60);

export type MetricRow = {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels?: readonly string[];
  /** The upper bounds of a histogram. */
  readonly buckets?: readonly number[];
  /** How the values of several workers become one; `sum` by default. */
  readonly over?: "sum" | "max";
};

export const metricTable = {
  flowcall_build_info: { kind: "gauge", help: "1, with the version as a label.", labels: ["version"], over: "max" },
  flowcall_workers: { kind: "gauge", help: "Processes of this service that serve calls." },
  flowcall_executions_accepted_total: {
    kind: "counter",
    help: "Executions that were accepted.",
    labels: ["source", "type"],
  },
  flowcall_executions_ended_total: {
    kind: "counter",
    help: "Executions that this service ended. The type of one that ran for too long is not known.",
    labels: ["state", "type"],
  },
  flowcall_execution_duration_seconds: {
    kind: "histogram",
    help: "From the call to the end of an execution; exact to a second where it was queued or taken over.",
    labels: ["state", "type"],
    buckets: seconds,
  },
  flowcall_execution_queue_seconds: {
    kind: "histogram",
    help: "How long executions that waited for a slot, or for a time, were due before they began.",
    buckets: seconds,
  },
  flowcall_executions_running: { kind: "gauge", help: "Executions that run." },
  flowcall_executions_queued: {
    kind: "gauge",
    help: "Executions that wait for a slot, over all processes on the database.",
    over: "max",
  },
  flowcall_queue_oldest_seconds: {
    kind: "gauge",
    help: "How long the first execution of the queue has been due, over all processes.",
    over: "max",
  },
  flowcall_slots: { kind: "gauge", help: "Executions that may run at the same time." },
  flowcall_node_runs_total: { kind: "counter", help: "Nodes that ended, by their kind.", labels: ["kind", "state"] },
  flowcall_node_duration_seconds: {
    kind: "histogram",
    help: "How long a node took, with its retries and waits.",
    labels: ["kind"],
    buckets: seconds,
  },
  flowcall_node_failures_total: {
    kind: "counter",
    help: "Attempts of nodes that failed, also those that were tried again.",
    labels: ["kind", "reason"],
  },
  flowcall_refused_total: {
    kind: "counter",
    help: "Requests that were refused, by their reason and, if they reached one, the limit.",
    labels: ["reason", "limit"],
  },
  flowcall_taken_over_total: {
    kind: "counter",
    help: "Executions that went on here after their process was gone, or gave them back.",
  },
  flowcall_quarantined_total: {
    kind: "counter",
    help: "Executions that were run alone, since they may kill processes.",
  },
  flowcall_fenced_writes_total: {
    kind: "counter",
    help: "Writes that changed nothing, since another process owned the execution or had ended it.",
  },
  flowcall_lease_age_seconds: {
    kind: "gauge",
    help: "Since the last answered heartbeat. At 4 s other processes take over.",
    over: "max",
  },
  flowcall_orphans: {
    kind: "gauge",
    help: "Executions whose owner is gone and that nobody has taken over yet, over all processes. 0 but for moments.",
    over: "max",
  },
  flowcall_commit_seconds: {
    kind: "histogram",
    help: "How long a shared statement took in the database, its commit included.",
    labels: ["statement"],
    buckets: shortSeconds,
  },
  flowcall_commit_rows_total: {
    kind: "counter",
    help: "Calls that shared statements answered; by their number, how many share one.",
    labels: ["statement"],
  },
  http_server_request_duration_seconds: {
    kind: "histogram",
    help: "Requests over REST, from their headers to their delivered reply, without streams.",
    labels: ["http_request_method", "http_route", "http_response_status_code"],
    buckets: shortSeconds,
  },
  rpc_server_call_duration_seconds: {
    kind: "histogram",
    help: "Unary calls over gRPC, gRPC-Web and Connect, from their headers to their delivered reply.",
    labels: ["rpc_system_name", "rpc_method", "rpc_response_status_code"],
    buckets: shortSeconds,
  },
} as const satisfies Readonly<Record<string, MetricRow>>;

export type MetricName = keyof typeof metricTable;
