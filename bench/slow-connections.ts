// What 10,000 connections that send as little as they can cost a caller who keeps the rules. Run it with:
//
//   bash -c 'ulimit -n 16384; node bench/slow-connections.ts'
//
// The service runs on a Postgres of its own in a folder under the system's temporary one; it, the slow clients and the
// caller are a process each. The slow ones come from as many addresses of the loopback as it takes to keep within the
// share that each may have, hold a connection open in one of seven ways, and drip a piece every two seconds. It prints
// the caller's p50 and p99 alone, those beside the slow ones, and the ratio, where at most 5 is the aim; and how long
// after the last came the last was cut, where at most 20 seconds is.

import { fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { echoDefinition, putWorkflow, testKey } from "../test/support/flowcall.ts";
import { sendRequest } from "../test/support/http-request.ts";
import { frameTypes, http2Frame, preface, requestBlock } from "../test/support/http2-frames.ts";
import { makeDataDir, startServerProcess } from "../test/support/server-process.ts";

const connectionsCount = 10_000;
const addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
const atATime = 200;
const dripMs = 2_000;
const callsCount = 1_000;
const callEveryMs = 5;

const path = "/api/v1/workflow/echo/execute";
const head = `POST ${path} HTTP/1.1\r\nhost: a\r\nx-api-key: ${testKey}\r\nlinked_account_id: john@acme.io\r\ncontent-type: application/json\r\n`;
const settings = http2Frame({ type: frameTypes.settings });
const halfHeaders = http2Frame({ type: frameTypes.headers, stream: 1, payload: requestBlock("GET", "/") });

type SlowClient = { readonly first: Uint8Array | string; readonly drip?: Uint8Array | string };

const slowClients: readonly SlowClient[] = [
  { first: "" },
  { first: "P", drip: "O" },
  { first: "GET / HTTP/1.1\r\nhost: a\r\n", drip: "a: b\r\n" },
  { first: `${head}content-length: 60000\r\n\r\n`, drip: " " },
  { first: `${head}transfer-encoding: chunked\r\n\r\n`, drip: "1\r\n \r\n" },
  { first: Buffer.concat([preface, settings]), drip: http2Frame({ type: frameTypes.ping, payload: Buffer.alloc(8) }) },
  { first: Buffer.concat([preface, settings, halfHeaders]) },
];

if (process.argv[2] === "hold") {
  await hold(process.argv[3] ?? "");
} else {
  await measure();
}

/** Opens all, tells when they are open, and again when the last is cut. */
async function hold(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const cuts: Promise<unknown>[] = [];
  let refused = 0;
  const open = async (index: number) => {
    const socket = connect({ host: hostname, port: Number(port), localAddress: addresses[index % addresses.length] });
    const { first = "", drip } = slowClients[index % slowClients.length] ?? {};
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => undefined).resume();
    await Promise.race([once(socket, "connect").catch(() => undefined), closed]);
    if (socket.destroyed) {
      refused += 1;
    }
    socket.write(first);
    const timer = drip === undefined ? undefined : setInterval(() => socket.write(drip), dripMs);
    cuts.push(closed.then(() => clearInterval(timer)));
  };
  for (let index = 0; index < connectionsCount; index += atATime) {
    await Promise.all(Array.from({ length: atATime }, (_, each) => open(index + each)));
  }
  process.send?.({ opened: cuts.length - refused });
  await Promise.all(cuts);
  process.send?.("cut");
  process.disconnect?.();
}

async function measure(): Promise<void> {
  const { dataDir, remove } = await makeDataDir();
  const server = await startServerProcess({ dataDir, environment: { FLOWCALL_TEST_KEY: testKey } });
  try {
    await putWorkflow(server.url, { alias: "echo", definition: echoDefinition("{{event.body}}") });
    await latencies(server.url);
    const quiet = await latencies(server.url);
    const started = performance.now();
    const slow = fork(import.meta.filename, ["hold", server.url]);
    const [{ opened }] = await once(slow, "message");
    const openedAt = performance.now();
    const cut = once(slow, "message").then(() => performance.now() - openedAt);
    const busy = await latencies(server.url);
    const busyMs = performance.now() - openedAt;
    const result = {
      opened,
      openingMs: openedAt - started,
      quiet,
      busy,
      busyMs,
      ratio: { p50: busy.p50 / quiet.p50, p99: busy.p99 / quiet.p99 },
      cutMs: await cut,
    };
    process.stdout.write(`${JSON.stringify(result, round, 2)}\n`);
  } finally {
    await server.end("SIGTERM");
    await remove();
  }
}

/** Calls at a steady pace, whether or not those before are answered. */
async function latencies(url: string): Promise<{ readonly p50: number; readonly p99: number }> {
  const headers = [
    ["x-api-key", testKey],
    ["linked_account_id", "john@acme.io"],
    ["sync_execution", "true"],
  ] as const;
  const call = async () => {
    const started = performance.now();
    const { status } = await sendRequest(url, "1.1", { method: "POST", path, headers });
    if (status !== 200) {
      throw new Error(`the server answered ${status}`);
    }
    return performance.now() - started;
  };
  const calls: Promise<number>[] = [];
  for (let index = 0; index < callsCount; index += 1) {
    calls.push(call());
    await new Promise((resolve) => setTimeout(resolve, callEveryMs));
  }
  const times = (await Promise.all(calls)).sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}

function round(_: string, value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 100) / 100 : value;
}
