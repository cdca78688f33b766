import { type MetricRow, metricTable } from "./metric-table.ts";

/** The text of docs/metrics.md, generated from the table of metrics. */
export function metricsPage(): string {
  const rows = Object.entries<MetricRow>(metricTable);
  return `# Metrics

With \`FLOWCALL_METRICS_PORT\` set the service answers \`GET /metrics\` on that port, on the loopback address unless
\`FLOWCALL_METRICS_HOST\` says otherwise, in Prometheus's exposition format and without a key. Several
[workers](operating.md#several-workers) are one scrape: their values are added up, and a worker that ends takes nothing of what it had
counted back. Each further process on the same database is a target of its own. No label is an id or a text of a tenant.

\`deploy/prometheus/alerts.yaml\` has alert rules, and \`deploy/grafana/dashboard.json\` a dashboard for Grafana; a test runs their queries.

Beside these there are the \`process_*\` and \`nodejs_*\` metrics of prom-client, event-loop lag above all
(\`nodejs_eventloop_lag_p99_seconds\`). This page is generated from the table of metrics: \`npm run generate\` writes it.

| metric | type | labels | meaning |
|---|---|---|---|
${rows.map(([name, row]) => metricLine(name, row)).join("\n")}
`;
}

function metricLine(name: string, { kind, labels = [], help }: MetricRow): string {
  return `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`;
}
