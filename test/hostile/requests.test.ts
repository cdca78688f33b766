import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { echoDefinition, type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { sendRequest } from "../support/http-request.ts";
import { sendRaw, statusesOf } from "../support/raw-socket.ts";

/* Paths, headers and media types that try to be read in another way than they are written. */

type PathCase = { readonly path: string; readonly status: number; readonly reason?: string };
type HeaderCase = {
  readonly name: string;
  /** Each byte as a character; a name after a hyphen is left out of what is sent else. */
  readonly headers: readonly (readonly [string, string])[];
  readonly status: number;
  readonly reason?: string;
};

function read<Row>(name: string): readonly Row[] {
  return JSON.parse(readFileSync(join(import.meta.dirname, "corpus", name), "utf8"));
}

const execute = "/api/v1/workflow/echo/execute";

let flowcall: Flowcall;

beforeAll(async () => {
  flowcall = await startFlowcall();
  await putWorkflow(flowcall.url, { alias: "echo", definition: echoDefinition("{{event.headers}}") });
});

afterAll(async () => flowcall?.stop());

type Sent = {
  readonly path: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
};

/** Sends a request byte by byte as it is written here; answers its one reply. */
async function send({ path, headers = [], body = "" }: Sent) {
  const all = [["host", "a"], ["connection", "close"], ["content-length", String(body.length)], ...headers];
  const lines = all.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const received = await sendRaw(flowcall.url, `POST ${path} HTTP/1.1\r\n${lines}\r\n${body}`);
  const [status, ...others] = statusesOf(received);
  expect(others).toEqual([]);
  const end = received.indexOf("\r\n\r\n");
  const reply: Record<string, unknown> = JSON.parse(received.slice(end + 4));
  return { status, reason: reply["error_code"], head: received.slice(0, end), reply };
}

const known = [
  ["x-api-key", testKey],
  ["linked_account_id", "john@acme.io"],
] as const;

describe("a path", () => {
  test.each(read<PathCase>("paths.json"))("$path: $status", async ({ path, status, reason }) => {
    const answer = await send({ path, headers: known });
    expect([answer.status, answer.reason]).toEqual([status, reason]);
    expect(answer.head.toLowerCase()).not.toContain("set-cookie");
    if (path.length > 4_000 || !path.startsWith("/")) {
      return;
    }
    const overHttp2 = await sendRequest(flowcall.url, "2", { method: "POST", path, headers: known });
    expect([overHttp2.status, JSON.parse(overHttp2.body.toString()).error_code]).toEqual([status, reason]);
  });
});

describe("headers", () => {
  test.each(read<HeaderCase>("headers.json"))("$name: $status", async ({ headers, status, reason }) => {
    const left = headers
      .filter(([name]) => !name.startsWith("-"))
      .map(([name, value]) => [name, value.replaceAll("{key}", testKey)] as const);
    const isKeyLeftOut = headers.some(([name]) => name === "-x-api-key");
    const key = isKeyLeftOut ? [] : ([["x-api-key", testKey]] as const);
    const answer = await send({ path: execute, headers: [...key, ...left] });
    expect([answer.status, answer.reason]).toEqual([status, reason]);
    expect(answer.head).not.toContain(testKey);
    expect(answer.head).toMatch(/x-request-id: [\x21-\x7e]{1,128}(\r|$)/i);
    expect(JSON.stringify(answer.reply)).not.toContain(testKey);
  });

  test("that are secrets or the transport's own are no part of an event", async () => {
    const secret = [
      "authorization",
      "cookie",
      "proxy-authorization",
      "grpc-timeout",
      "connect-timeout-ms",
      "x-forwarded-for",
    ];
    const { status, reply } = await send({
      path: execute,
      headers: [...known, ["sync_execution", "true"], ["tag", "kept"], ...secret.map((name) => [name, "1"] as const)],
    });
    expect(status).toBe(200);
    expect(reply["return_value"]).toMatchObject({ tag: "kept" });
    expect(
      Object.keys(Object(reply["return_value"])).filter((name) => ["x-api-key", ...secret].includes(name)),
    ).toEqual([]);
  });
});

describe("a body of the media type", () => {
  test.each(read<string>("content-types.json"))("%j is refused, and not read", async (type) => {
    const answer = await send({ path: execute, headers: [...known, ["content-type", type]], body: "{}" });
    expect([answer.status, answer.reason]).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
  });

  test("JSON, named twice, is refused", async () => {
    const twice = ["content-type", "application/json"] as const;
    expect((await send({ path: execute, headers: [...known, twice, twice], body: "{}" })).status).toBe(415);
  });
});
