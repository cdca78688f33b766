import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionService } from "../src/gen/flowcall/v1/execution_pb.ts";
import { type MetricRow, metricTable } from "../src/metrics/metric-table.ts";
import { metricsPage } from "../src/metrics/metrics-page.ts";
import { until } from "./support/eventually.ts";
import { type Flowcall, startFlowcall, testKey } from "./support/flowcall.ts";
import { startPrometheus } from "./support/prometheus.ts";
import { root } from "./support/source-tree.ts";

const headers = {
  "x-api-key": testKey,
  linked_account_id: "john@acme.io",
  slug: "asana",
  sync_execution: "true",
  "content-type": "application/json",
};

let flowcall: Flowcall;

async function execute(workflow: string): Promise<number> {
  const path = `${flowcall.url}/api/v1/workflow/${workflow}/execute`;
  const reply = await fetch(path, { method: "POST", headers, body: "{}" });
  await reply.arrayBuffer();
  return reply.status;
}

async function scrape(): Promise<string> {
  const reply = await fetch(flowcall.app.metricsUrl ?? "");
  expect(reply.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  return await reply.text();
}

/** The value of one series; NaN where there is none. */
function seriesValue(text: string, series: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return Number(line?.slice(series.length) ?? Number.NaN);
}

beforeAll(async () => {
  flowcall = await startFlowcall({ FLOWCALL_METRICS_PORT: "0" });
  expect(await Promise.all([execute("create-task"), execute("always-fails"), execute("nothing-there")])).toEqual([
    200, 500, 404,
  ]);
  const client = createClient(ExecutionService, createGrpcTransport({ baseUrl: flowcall.url }));
  const { "content-type": _, ...ofCall } = headers;
  await client.executeWorkflow({ workflow: "create-task" }, { headers: ofCall });
});

afterAll(async () => {
  await flowcall?.stop();
});

describe("metrics", () => {
  test("count what is accepted, ended, run and refused, and know how long it took", async () => {
    const text = await scrape();
    const counted: readonly (readonly [string, number])[] = [
      ['flowcall_executions_accepted_total{source="API_CALL",type="SYNC"}', 3],
      ['flowcall_executions_ended_total{state="COMPLETED",type="SYNC"}', 2],
      ['flowcall_executions_ended_total{state="ERRORED",type="SYNC"}', 1],
      ['flowcall_execution_duration_seconds_count{state="COMPLETED",type="SYNC"}', 2],
      ['flowcall_node_runs_total{kind="transform",state="SUCCESS"}', 2],
      ['flowcall_node_runs_total{kind="terminate",state="ERRORED"}', 1],
      ['flowcall_node_failures_total{kind="terminate",reason="TERMINATED"}', 1],
      ['flowcall_refused_total{reason="WORKFLOW_NOT_FOUND",limit=""}', 1],
      ['flowcall_commit_rows_total{statement="record_finished"}', 3],
    ];
    expect(counted.map(([series]) => [series, seriesValue(text, series)])).toEqual(counted);
    const route = 'http_request_method="POST",http_route="/api/v1/workflow/{workflow}/execute"';
    for (const status of [200, 404, 500]) {
      const series = `http_server_request_duration_seconds_count{${route},http_response_status_code="${status}"}`;
      expect([status, seriesValue(text, series)]).toEqual([status, 1]);
    }
    const rpc = 'rpc_method="flowcall.v1.ExecutionService/ExecuteWorkflow",rpc_response_status_code="OK"';
    expect(seriesValue(text, `rpc_server_call_duration_seconds_count{rpc_system_name="grpc",${rpc}}`)).toBe(1);
    expect(seriesValue(text, "flowcall_orphans")).toBe(0);
    expect(seriesValue(text, "flowcall_slots")).toBe(256);
    expect(seriesValue(text, "flowcall_lease_age_seconds")).toBeLessThan(4);
    expect(seriesValue(text, "nodejs_eventloop_lag_p99_seconds")).toBeGreaterThan(0);
    // Ids and texts of tenants would make the number of series unbounded, and show them to whoever may scrape.
    expect(text).not.toMatch(/[0-9a-f]{24}|john@acme\.io|create-task/);
  });

  test("are all in the table, and the page for people is what the table says", async () => {
    const text = await scrape();
    const declared = [...text.matchAll(/^# TYPE ((?:flowcall|http|rpc)_\S+) (\S+)$/gm)].map(([, name, kind]) => [
      name,
      kind,
    ]);
    expect(declared.sort()).toEqual(
      Object.entries<MetricRow>(metricTable)
        .map(([name, { kind }]) => [name, kind])
        .sort(),
    );
    expect(await readFile(join(root, "docs/metrics.md"), "utf8")).toBe(metricsPage());
  });

  test("are not on the port of the callers, and nothing else is on theirs", async () => {
    expect((await fetch(`${flowcall.url}/metrics`)).status).toBe(404);
    const { origin } = new URL(flowcall.app.metricsUrl ?? "");
    expect((await fetch(`${origin}/api/v1/workflow`, { headers })).status).toBe(404);
  });

  test("hold nothing up where a scraper hangs, and scrapers beyond a number are turned away", async () => {
    const { port } = new URL(flowcall.app.metricsUrl ?? "");
    const scraper = () => connect(Number(port), "127.0.0.1").on("error", () => undefined);
    const hung = Array.from({ length: 16 }, scraper);
    for (const socket of hung) {
      socket.pause();
      socket.write("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(20));
    }
    await Promise.all(hung.map((socket) => socket.connecting && once(socket, "connect")));
    const next = scraper().resume();
    await once(next, "close");
    expect(await execute("create-task")).toBe(200);
    for (const socket of hung) {
      socket.destroy();
    }
    await until(
      "there is room again",
      async () => (await fetch(flowcall.app.metricsUrl ?? "").catch(() => undefined))?.ok === true,
    );
  });
});

describe("the files for Prometheus and Grafana", () => {
  test("ask for nothing that there is not, and every query is answered by a real scrape", {
    timeout: 60_000,
  }, async (context) => {
    const prometheus = await startPrometheus(flowcall.app.metricsUrl ?? "");
    if (prometheus === undefined) {
      expect(process.env["CI"], "where the packages are installed the test is not skipped").not.toBe("true");
      return context.skip("there is no prometheus here");
    }
    try {
      const dashboard = JSON.parse(await readFile(join(root, "deploy/grafana/dashboard.json"), "utf8"));
      const queries = dashboard.panels.flatMap(({ targets }: { targets: readonly { expr: string }[] }) =>
        targets.map(({ expr }) => expr),
      );
      const alerts = await prometheus.ruleQueries();
      expect([queries.length, alerts.length]).toEqual([29, 10]);
      const empty: string[] = [];
      for (const query of queries) {
        if ((await prometheus.query(query)).length === 0) {
          empty.push(query);
        }
      }
      // No call over gRPC was answered by an error of the server.
      expect(empty.filter((query) => !query.includes("INTERNAL|UNAVAILABLE"))).toEqual([]);
      for (const alert of alerts) {
        await prometheus.query(alert);
      }
      const names = new Set(
        [...queries, ...alerts].flatMap(
          (query: string) => query.match(/\b(?:flowcall|http_server|rpc_server)_\w+/g) ?? [],
        ),
      );
      const known = new Set(Object.keys(metricTable));
      expect([...names].filter((name) => !known.has(name.replace(/_(?:bucket|count|sum)$/, "")))).toEqual([]);
    } finally {
      await prometheus.stop();
    }
  });
});
