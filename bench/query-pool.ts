/*
 * What a query costs more in a child process than in line, with children warm; and what the two ways to speak to a child
 * cost. One query after the other, of a small payload and of one of about 50 KiB.
 *
 * node bench/query-pool.ts [runs]
 */
import { fork } from "node:child_process";
import type { JsonValue } from "@bufbuild/protobuf";
import { defaultLimits } from "../src/domain/limits.ts";
import { ProcessPool } from "../src/engine/pool/process-pool.ts";
import { evaluateQuery, parseQuery } from "../src/engine/query/evaluate/evaluate-query.ts";
import { InlineBudget } from "../src/engine/query/evaluate/step-watch.ts";
import { isCheap } from "../src/engine/query/syntax/cheap-query.ts";

const runs = Number(process.argv[2] ?? 1_000);
const context = { executionId: "e", path: "t", startTime: 0 };
const query = '{"success": "true", "new_note": note & "!", "count": $count(items)}';
const parsed = parseQuery(query, defaultLimits);
if (!isCheap(parsed.ast(), [])) {
  throw new Error("the query is none for in line");
}
const pool = new ProcessPool(defaultLimits);
await pool.start();

async function inLine(input: JsonValue): Promise<void> {
  JSON.stringify(
    await evaluateQuery(parsed, {
      input,
      bindings: {},
      context,
      watch: new InlineBudget(JSON.stringify(input).length),
    }),
  );
}

async function inPool(text: string): Promise<void> {
  const end = await pool.run("query", {
    request: () => ({ head: { query, context, input: { text: 0, path: [] }, bindings: [] }, texts: [text] }),
    path: ["organization", "environment"],
    signal: new AbortController().signal,
  });
  if (end.kind !== "reply" || end.head.kind !== "output") {
    throw new Error(`the query ended as ${end.kind}`);
  }
}

/** The median and the 99th percentile of how long a piece of work takes, in milliseconds. */
async function measure(name: string, piece: () => Promise<void>): Promise<void> {
  for (let warm = 0; warm < 100; warm += 1) {
    await piece();
  }
  const times: number[] = [];
  for (let turn = 0; turn < runs; turn += 1) {
    const begin = performance.now();
    await piece();
    times.push(performance.now() - begin);
  }
  times.sort((left, right) => left - right);
  const at = (part: number) => (times[Math.floor(times.length * part)] ?? 0).toFixed(3);
  process.stdout.write(`${name.padEnd(34)} p50 ${at(0.5)} ms   p99 ${at(0.99)} ms\n`);
}

/** A child that sends back what it is sent, over Node's own channel. */
async function overChannel(serialization: "json" | "advanced", text: string): Promise<void> {
  const code = 'process.on("message", (message) => process.send(message))';
  const child = fork("-e", [code], { execArgv: [], serialization });
  await measure(`  Node's channel, ${serialization}`, async () => {
    const back = new Promise((resolve) => child.once("message", resolve));
    child.send({ query, texts: [text] });
    await back;
  });
  child.kill();
}

const item = { note: "a note", price: 12.5, tags: ["a", "b"] };
const payloads: Record<string, JsonValue> = {
  small: { note: "hello", items: [item] },
  "50 KiB": { note: "hello", items: Array.from({ length: 1_000 }, () => item) },
};
for (const [name, input] of Object.entries(payloads)) {
  const text = JSON.stringify(input);
  process.stdout.write(`payload ${name}: ${text.length} bytes\n`);
  await measure("  in line", () => inLine(input));
  await measure("  in a child process", () => inPool(text));
  await overChannel("json", text);
  await overChannel("advanced", text);
}
await pool.stop();
