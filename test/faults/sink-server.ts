/**
 * What answers for a Sink, in a thread: each call is told before it is answered.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";

/** What the thread is given: how long it takes for an answer, which may change, and where it tells of calls. */
export type SinkStart = { readonly answerMs: Int32Array; readonly tells: MessagePort };

export type SinkCall = {
  readonly key: string;
  /** When it came, in milliseconds since 1970. */
  readonly time: number;
  /** What each call under the key is answered. */
  readonly value: string;
};

// Given by the Sink that starts this thread.
const { answerMs, tells } = workerData as SinkStart;
const values = new Map<string, string>();

const server = createServer((request, response) => {
  const key = String(request.headers["idempotency-key"]);
  const value = values.get(key) ?? randomUUID();
  values.set(key, value);
  const call: SinkCall = { key, time: Date.now(), value };
  tells.postMessage(call);
  request.resume();
  // Who asked may be dead by then.
  response.on("error", () => undefined);
  void pause(Atomics.load(answerMs, 0)).then(() =>
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ value })),
  );
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
// A server that listens on a port has an AddressInfo, which the type cannot know.
parentPort?.postMessage(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
