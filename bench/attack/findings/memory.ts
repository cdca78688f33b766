// Findings 8 and 10: memory by what authors may write.

import type { JsonObject } from "@bufbuild/protobuf";
import type { Attack } from "../attack.ts";
import { callApi, lineOf, publish, publishLine } from "../tenants.ts";

const mebibyteText = () => ({ s: "x".repeat(1_040_000) });
const event = "{{event.body}}";

/** Start → Group of so many iterations of one Transform. */
export function groupOf(count: number, query: string, behind: readonly JsonObject[] = []): JsonObject {
  const after = behind.map((node, index) => ({ id: `B${index}`, ...node }));
  return {
    nodes: [
      { id: "S", start: { api_call: {} } },
      { id: "G", group: { count: String(count), concurrency: 50 } },
      { id: "T", group_id: "G", transform: { query } },
      ...after,
    ],
    edges: [
      { source: "S", target: "G" },
      { source: "G", target: "T", port: "each" },
      ...after.map(({ id }, index) => ({
        source: index === 0 ? "G" : `B${index - 1}`,
        target: id,
        ...(index === 0 && { port: "next" }),
      })),
    ],
  };
}

const fields: Readonly<Record<string, JsonObject>> = {
  data: { response: { data: `"${event.repeat(5_000)}"` } },
  rule: { rule: { comparisons: [{ left: event.repeat(1_000), operator: "eq", right: event.repeat(1_000) }] } },
  json: { http: { method: "POST", url: "http://127.0.0.1:9/", json: `"${event.repeat(1_000)}"` } },
  text: { http: { method: "POST", url: "http://127.0.0.1:9/", text: event.repeat(1_000) } },
  form: {
    http: {
      method: "POST",
      url: "http://127.0.0.1:9/",
      form: { fields: Array.from({ length: 200 }, (_, key) => ({ key: String(key), value: event.repeat(20) })) },
    },
  },
  headers: {
    http: {
      method: "POST",
      url: "http://127.0.0.1:9/",
      headers: Array.from({ length: 100 }, (_, index) => ({ key: `x-${index}`, value: event.repeat(40) })),
    },
  },
  message: { terminate: { result: "ERROR", message: event.repeat(1_000) } },
};

const heavyQueries: Readonly<Record<string, string>> = {
  join: '$count([1..200].$split($$.s, ""))',
  reverse: "$count($map([1..400], function($i){ $reverse([1..1000000]) }))",
  uppercase: "$count($map([1..3000], function($i){ $uppercase($$.s) }))",
  concat: "$count([1..3000].($$.s & $string($)))",
  ranges: "$count($map([1..100], function($i){ [1..1000000] }))",
};

export const memory: readonly Attack[] = [
  {
    id: "8",
    title: "a Group whose 10,000 outputs of 1 MB are all recorded, called once",
    prepare: async ({ tenant }) => {
      const query = "{{event.body.s}} & $string({{node.G.body.iteration_count}})";
      await publish(tenant, "group", groupOf(10_000, query));
      return {};
    },
    run: async (attacker) => {
      await attacker.repeat(1, async () => {
        const { text } = await attacker.call("group", mebibyteText(), { prefer: "wait=60" });
        attacker.count(text.includes("RECORDS_TOO_LARGE") ? "records refused" : "records taken");
        await attacker.untilOver();
      });
    },
  },
  {
    id: "8b",
    title: "the same by pages of an API, and by a do_while, 4 calls at a time",
    prepare: async ({ tenant }) => {
      const nodes = [
        { id: "S", start: { api_call: {} } },
        {
          id: "G",
          group: {
            do_while: {
              condition: {
                comparisons: [{ left: "{{node.G.body.iteration_count}}", operator: "lt", right: "9999" }],
              },
            },
            output: "{{node.T.body}}",
          },
        },
        { id: "T", group_id: "G", transform: { query: "{{event.body.s}} & $string({{node.G.body.iteration_count}})" } },
      ];
      const edges = [
        { source: "S", target: "G" },
        { source: "G", target: "T", port: "each" },
      ];
      await publish(tenant, "while", { nodes, edges });
      return {};
    },
    run: async (attacker) => {
      const body = JSON.stringify({ s: "x".repeat(500_000) });
      await attacker.repeat(4, () => attacker.callText("while", body, { prefer: "wait=20" }));
    },
  },
  {
    id: "10",
    title: "5,000 templates of 1 MB in a response's data",
    prepare: async ({ tenant }) => {
      await publishLine(tenant, "templates", [fields["data"] ?? {}]);
      return {};
    },
    run: async (attacker) => {
      const body = JSON.stringify({ a: "x".repeat(1_040_000) });
      await attacker.repeat(1, () => attacker.callText("templates", body, { sync_execution: "true" }));
    },
  },
  {
    id: "10b",
    title: "26 versions of 490 Transforms of 5 KB, called one after the other",
    prepare: async ({ tenant }) => {
      const transforms = Array.from({ length: 490 }, (_, index) => ({
        transform: { query: `"${index}" & ${Array.from({ length: 500 }, (_, each) => `a.b${each}`).join(" & ")}` },
      }));
      const id = await publish(tenant, "versions", lineOf(transforms)).catch(async () => {
        // Where definitions have a bound, as many as fit into it.
        return await publish(tenant, "versions", lineOf(transforms.slice(0, 180)));
      });
      for (let version = 1; version < 26; version += 1) {
        await callApi(tenant, "POST", `/api/v1/workflow/${id}/version/1/restore`, {});
      }
      return {};
    },
    run: (attacker) =>
      attacker.repeat(1, async (_, turn) => {
        await attacker.call("versions", {}, { workflow_version: String(1 + (turn % 26)) });
      }),
  },
  {
    id: "10d",
    title: "queries that hold gigabytes within their time, 5 at a time",
    prepare: async ({ tenant }) => {
      for (const [name, query] of Object.entries(heavyQueries)) {
        await publishLine(tenant, `heavy-${name}`, [{ transform: { query } }]);
      }
      return {};
    },
    run: async (attacker) => {
      const body = JSON.stringify(mebibyteText());
      const all = Object.keys(heavyQueries);
      await attacker.repeat(5, (lane) => attacker.callText(`heavy-${all[lane]}`, body, { sync_execution: "true" }));
    },
  },
  {
    id: "10e",
    title: "templates without end in the other fields of texts, all at a time",
    prepare: async ({ tenant }) => {
      for (const [name, node] of Object.entries(fields)) {
        await publishLine(tenant, `field-${name}`, [node]);
      }
      return {};
    },
    run: async (attacker) => {
      const body = JSON.stringify({ a: "x".repeat(1_040_000) });
      const all = Object.keys(fields);
      await attacker.repeat(all.length, (lane) => attacker.callText(`field-${all[lane]}`, body, { prefer: "wait=10" }));
    },
  },
];
