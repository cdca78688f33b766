import { once } from "node:events";
import http2 from "node:http2";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { productionKey, testKey } from "../support/flowcall.ts";
import { frame } from "../support/grpc-web.ts";
import { sendRequest } from "../support/http-request.ts";
import { type MeasuredServer, startMeasuredServer } from "../support/measured-server.ts";
import { verdictOf } from "../support/verdict.ts";

/* Bodies that do not end: what they hold is counted, and refused beyond a part, on every protocol. */

const mebibyte = 1024 ** 2;
const account = ["linked_account_id", "john@acme.io"] as const;
const procedure = "/flowcall.v1.ExecutionService/ExecuteWorkflow";

let server: MeasuredServer;

beforeAll(async () => {
  server = await startMeasuredServer({ FLOWCALL_KEY_BODY_BYTES: String(8 * mebibyte) });
});

afterAll(async () => server?.stop());

type Unfinished = { readonly taken: Promise<unknown>; readonly refused: Promise<unknown> };

/** Sends bodies of four mebibytes less a hundred bytes, one on each stream of a connection of its own. */
function sendUnfinished(streams: number): readonly Unfinished[] {
  const session = http2.connect(server.url, { maxSessionMemory: 1_000 });
  session.on("error", () => undefined);
  onTestFinished(() => session.destroy());
  const head = Buffer.alloc(5);
  head.writeUInt32BE(4 * mebibyte - 16, 1);
  const body = Buffer.concat([head, Buffer.alloc(4 * mebibyte - 116)]);
  return Array.from({ length: streams }, () => {
    const stream = session.request({
      ":method": "POST",
      ":path": procedure,
      "content-type": "application/grpc",
      te: "trailers",
      "x-api-key": testKey,
    });
    stream.on("error", () => undefined).resume();
    const written = new Promise((resolve) => stream.write(body, resolve));
    // Frames are answered in their order.
    const taken = written.then(() => new Promise((resolve) => session.ping(resolve)));
    // Of those that are refused, the connection may end first.
    taken.catch(() => undefined);
    return { taken, refused: Promise.race([once(stream, "trailers"), once(stream, "response")]) };
  });
}

test("two of them hold the key's part, and the others are refused, on every protocol", async () => {
  await server.measure();
  const before = await server.measure();
  await Promise.all(sendUnfinished(2).map(({ taken }) => taken));
  await Promise.all(
    Array.from({ length: 4 }, () => sendUnfinished(8)).flatMap((all) => all.map(({ refused }) => refused)),
  );
  const large = JSON.stringify({ text: "x".repeat(mebibyte - 100) });
  const message = `{"workflow":"echo","linked_account_id":"john@acme.io","payload":${large}}`;
  const rest = ["/api/v1/workflow/echo/execute", "application/json", Buffer.from(large)] as const;
  const calls = [
    ["1.1", ...rest],
    ["2", ...rest],
    ["1.1", procedure, "application/json", Buffer.from(message)],
    ["2", procedure, "application/json", Buffer.from(message)],
    ["2", procedure, "application/grpc+json", frame(0, Buffer.from(message))],
    ["1.1", procedure, "application/grpc-web+json", frame(0, Buffer.from(message))],
    [
      "1.1",
      procedure,
      "application/grpc-web-text+json",
      Buffer.from(frame(0, Buffer.from(message)).toString("base64")),
    ],
  ] as const;
  for (const [version, path, type, body] of calls) {
    const headers = [["content-type", type], ["x-api-key", testKey], account] as const;
    const answer = await sendRequest(server.url, version, { method: "POST", path, headers, body });
    expect(verdictOf(answer)?.reason, `${version} ${type}`).toBe("TOO_MANY_REQUESTS");
  }
  // The organisation's other key has a part of its own.
  const [, path, type, body] = calls[0];
  const headers = [["content-type", type], ["x-api-key", productionKey], account] as const;
  const other = await sendRequest(server.url, "1.1", { method: "POST", path, headers, body });
  expect(verdictOf(other)?.reason ?? "none").not.toBe("TOO_MANY_REQUESTS");
  const { rssBytes } = await server.measure();
  expect(rssBytes - before.rssBytes).toBeLessThan(100 * mebibyte);
  expect(server.errors()).toBe("");
});
