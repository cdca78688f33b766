import type { RequestListener, ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { countDials, serve, startClient } from "./http/outside.ts";
import { beginCall, type CallOptions, call, keysOf } from "./http-node.ts";
import { run, settle, start } from "./workflow.ts";

const execution = "0123456789abcdef01234567";
const twice = { retry: { max_attempts: 2 } };

/** Answers one request after the other; the last answer comes again and again. */
function script(...answers: readonly ((response: ServerResponse) => void)[]): RequestListener {
  let count = 0;
  return (_request, response) => {
    answers[Math.min(count, answers.length - 1)]?.(response);
    count += 1;
  };
}

const status =
  (code: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse) => {
    response.writeHead(code, headers).end("{}");
  };
const json = (value: unknown, headers: Record<string, string> = {}) =>
  text(JSON.stringify(value), { "content-type": "application/json", ...headers });
const text =
  (body: string, headers: Record<string, string>, encoding: BufferEncoding = "utf8") =>
  (response: ServerResponse) => {
    response.writeHead(200, headers).end(Buffer.from(body, encoding));
  };
const reset = (response: ServerResponse) => response.destroy();
const stall = () => undefined;
/** Sends the head and the first bytes of a body, and then what comes in place of the rest. */
const cutBody =
  (rest: (response: ServerResponse) => void, code = 200) =>
  (response: ServerResponse) => {
    response.writeHead(code, { "content-type": "application/json", "content-length": 100 });
    response.write('{"charged":', () => rest(response));
  };

describe("the output is the answer", () => {
  test.each([
    ["JSON", text('{"a": [1]}', { "content-type": "application/json" }), { a: [1] }],
    ["JSON of a suffix", text("[1]", { "content-type": "application/problem+json; charset=utf-8" }), [1]],
    ["JSON without a type", text("true", {}), true],
    ["text", text("5", { "content-type": "text/plain" }), "5"],
    ["text where JSON was said", text("{", { "content-type": "application/json" }), "{"],
    ["nothing", text("", {}), ""],
    ["nothing of a type", text("", { "content-type": "application/json" }), ""],
    ["text in its charset", text("\xe9", { "content-type": "text/plain; charset=latin1" }, "latin1"), "é"],
    [
      "JSON in its charset",
      text('{"a":"\xe9 \xa4"}', { "content-type": 'a/json; charset="ISO-8859-15"' }, "latin1"),
      { a: "é €" },
    ],
    ["text behind a mark of UTF-16", text("\ufeffé", { "content-type": "text/csv" }, "utf16le"), "é"],
    ["JSON behind a mark of UTF-8", text("\ufeff[1]", { "content-type": "application/json" }), [1]],
    [
      "JSON behind a mark of UTF-8, whatever its type says",
      text('\ufeff["é"]', { "content-type": "application/json; charset=iso-8859-1" }),
      ["é"],
    ],
    [
      "XML in the charset that it declares",
      text(
        '<?xml version="1.0" encoding="iso-8859-1"?><a>\xe9</a>',
        { "content-type": "application/atom+xml" },
        "latin1",
      ),
      '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>',
    ],
    ["UTF-8 of an odd charset", text("é", { "content-type": "text/plain; charset=utf8mb4" }), "é"],
    ["text of any type", text("%PDF", { "content-type": "application/pdf" }), "%PDF"],
    [
      "bytes",
      text("%PDF\xff", { "content-type": "application/pdf" }, "latin1"),
      { base64: "JVBERv8=", content_type: "application/pdf" },
    ],
    ["bytes with NUL", text("a\0", { "content-type": "text/plain" }), { base64: "YQA=", content_type: "text/plain" }],
    ["bytes without a type", text("\xff", {}, "latin1"), { base64: "/w==", content_type: "" }],
    [
      "text in no known charset",
      text("\xff", { "content-type": "text/plain" }, "latin1"),
      { base64: "/w==", content_type: "text/plain" },
    ],
    [
      "integers that a double cannot hold, as strings",
      text('{"n": 9007199254740993, "m": -12345678901234567890, "d": 0.1, "s": "9007199254740993", "e": 1e400}', {}),
      { n: "9007199254740993", m: "-12345678901234567890", d: 0.1, s: "9007199254740993", e: "1e400" },
    ],
  ])("%s", async (_, answer, expected) => {
    const { response } = await call({ onRequest: script(answer as (response: ServerResponse) => void) });
    expect(response).toEqual({ status: 200, body: expected });
  });

  test.each([
    ["JSON", text("[1]", { "content-type": "text/plain" }), [1]],
    ["JSON", (response: ServerResponse) => response.writeHead(204).end(), ""],
    ["AUTO", text("Hi +AOk-", { "content-type": "text/plain; charset=utf-7" }), "ANSWER_UNREADABLE"],
    ["TEXT", text("~{VPND~}", { "content-type": "text/plain; charset=HZ-GB-2312" }), "ANSWER_UNREADABLE"],
    ["JSON", text("<html>", { "content-type": "application/json" }), "ANSWER_UNREADABLE"],
    ["TEXT", text("[1]", { "content-type": "application/json" }), "[1]"],
    ["TEXT", text("\xff", { "content-type": "text/plain" }, "latin1"), "ANSWER_UNREADABLE"],
    [
      "BYTES",
      text("[1]", { "content-type": "application/json" }),
      { base64: "WzFd", content_type: "application/json" },
    ],
    ["AUTO", text("[1]", { "content-type": "application/json" }), [1]],
  ])("as the node asks for: %s", async (kind, answer, expected) => {
    const onRequest = script(answer as (response: ServerResponse) => void);
    const { outcome, response } = await call({ onRequest, http: { answer: kind }, settings: twice });
    expect(outcome.error?.reason ?? response).toEqual(
      expected === "ANSWER_UNREADABLE" ? expected : { status: expect.any(Number), body: expected },
    );
  });

  test("to HEAD has no body that could be no JSON", async () => {
    const onRequest = script((response) => response.writeHead(200, { "content-type": "application/json" }).end());
    const { response } = await call({ onRequest, http: { method: "HEAD", answer: "JSON" } });
    expect(response).toEqual({ status: 200, body: "" });
  });

  test("bytes count towards its limit as they are kept, in Base64", async () => {
    const limits = { output: { bytesMax: 400, valuesMax: 100, depthMax: 5, keysMax: 100 } };
    const answer = (length: number) => ({ onRequest: script(text("x".repeat(length), {})), http: { answer: "BYTES" } });
    expect((await call({ ...answer(60), limits })).outcome.error).toBeUndefined();
    const { outcome, requests } = await call({ ...answer(300), limits, settings: twice });
    expect([outcome.error?.reason, requests.length]).toEqual(["OUTPUT_TOO_LARGE", 1]);
  });

  test("with headers of one shape, however many lines they have", async () => {
    for (const count of [1, 2]) {
      const onRequest: RequestListener = (_, response) =>
        response
          .setHeader("Set-Cookie", ["a=1", "b=2"].slice(0, count))
          .setHeader("X-One", ["1", "2"].slice(0, count))
          .end();
      const { response } = await call({ data: "{{node.c.headers}}", onRequest });
      expect(response).toMatchObject({
        "set-cookie": ["a=1", "b=2"].slice(0, count),
        "x-one": ["1", "2"].slice(0, count).join(", "),
      });
    }
  });

  test("with its headers, whose names are written in any case", async () => {
    const data = '["{{node.c.headers.X-Total}}", "{{node.c.headers.set-cookie.1}}", "{{node.c.headers}}"]';
    const onRequest: RequestListener = (_, response) =>
      response.setHeader("X-Total", "7").setHeader("Set-Cookie", ["a=1", "b=2"]).end();
    const { response } = await call({ data, onRequest });
    expect(response).toEqual(["7", "b=2", expect.objectContaining({ "x-total": "7", "set-cookie": ["a=1", "b=2"] })]);
  });

  test("that is over a limit fails the node, and is not asked for again", async () => {
    for (const [limits, reason] of [
      [{ httpAnswerBytesMax: 10 }, "ANSWER_TOO_LARGE"],
      [{ output: { bytesMax: 1_000, valuesMax: 5, depthMax: 9, keysMax: 9 } }, "OUTPUT_TOO_LARGE"],
    ] as const) {
      const { outcome, requests } = await call({
        onRequest: script(json([1, 2, 3, 4, 5, 6])),
        limits,
        settings: twice,
      });
      expect(outcome.error).toMatchObject({ reason, node_id: "c" });
      expect(requests).toHaveLength(1);
    }
  });
});

describe("the request", () => {
  test.each(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])("has the method %s", async (method) => {
    const { requests, outcome } = await call({ http: { method } });
    expect([requests.map((one) => one.method), outcome.state]).toEqual([[method], "COMPLETED"]);
  });

  test("leaves out what a lone template makes null, and takes the author's content type", async () => {
    const http = {
      method: "POST",
      query: [
        { key: "a", value: "{{event.body.nothing}}" },
        { key: "b", value: "" },
      ],
      headers: [
        { key: "X-None", value: "{{event.body.nothing}}" },
        { key: "Content-Type", value: "application/vnd.api+json" },
      ],
      json: '{"a": {{event.body.nothing}}}',
    };
    const { requests } = await call({ http });
    expect(requests[0]).toMatchObject({ path: "/?b=", body: '{"a":null}' });
    expect(requests[0]?.headers).toMatchObject({ "content-type": "application/vnd.api+json" });
    expect(requests[0]?.headers).not.toHaveProperty("x-none");
  });

  test("repeats the name of a value that is an array, in the query, a form and a multipart body", async () => {
    const value = "{{event.body.tags}}";
    const body = { tags: ["a", "b&c", null, 7, ["d"]] };
    const query = [
      { key: "tag", value },
      { key: "in", value: `x${value}` },
      { key: "none", value: "{{event.body.none}}" },
    ];
    const form = await call({ http: { method: "POST", query, form: { fields: query } }, body: { ...body, none: [] } });
    const written =
      "tag=a&tag=b%26c&tag=7&tag=%5B%22d%22%5D&in=x%5B%22a%22%2C%22b%26c%22%2Cnull%2C7%2C%5B%22d%22%5D%5D";
    expect(form.requests[0]).toMatchObject({ path: `/?${written}`, body: written });
    const multipart = await call({ http: { method: "POST", multipart: { parts: [{ name: "tag", value }] } }, body });
    expect(multipart.requests[0]?.body.match(/name="tag"\r\n\r\n.*(?=\r\n)/g)).toEqual(
      ["a", "b&c", "7", '["d"]'].map((text) => `name="tag"\r\n\r\n${text}`),
    );
  });

  test("is bounded where an array repeats a long name", async () => {
    const value = "{{event.body.tags}}";
    const body = { tags: Array.from({ length: 2_000 }, () => "") };
    const name = "n".repeat(900);
    for (const http of [
      { query: [{ key: name, value }] },
      { method: "POST", form: { fields: [{ key: name, value }] } },
      { method: "POST", multipart: { parts: [{ name, value }] } },
    ]) {
      const { outcome, requests } = await call({ http, body });
      expect([outcome.error?.reason, requests.length]).toEqual(["REQUEST_TOO_LARGE", 0]);
    }
  });

  test("that is too large is not sent", async () => {
    const { outcome, requests } = await call({
      http: { method: "POST", text: "{{event.body.v}}" },
      body: { v: "x".repeat(2_000_000) },
    });
    expect(outcome.error).toMatchObject({ reason: "REQUEST_TOO_LARGE" });
    expect(requests).toEqual([]);
  });

  test("goes nowhere where the journal cannot commit what led to it", async () => {
    const fault = new Error("taken over");
    const { outcome, server } = await beginCall({ beforeEffect: () => Promise.reject(fault) });
    await expect(outcome).rejects.toBe(fault);
    expect(server.sockets).toEqual([]);
  });

  test("to an address that is not public is refused, without a connection", async () => {
    const server = await serve();
    const client = await startClient();
    const dials = countDials();
    const node = { id: "c", http: { method: "GET", url: `http://127.0.0.1:${server.port}/` } };
    const { outcome } = await run([start, node], ["start > c"], { client });
    expect(outcome.error).toMatchObject({ reason: "EGRESS_REFUSED", node_id: "c" });
    expect(dials()).toBe(0);
  });
});

describe("a failure", () => {
  test.each([
    [400, 1],
    [404, 1],
    [409, 1],
    [408, 2],
    [429, 2],
    [500, 2],
    [503, 2],
  ])("by the status %i takes %i of two attempts", async (code, attempts) => {
    const { outcome, requests, records } = await call({ onRequest: script(status(code)), settings: twice });
    expect(outcome.error).toEqual({
      reason: "HTTP_STATUS",
      message: `The server answered with the status ${code}.`,
      node_id: "c",
      status: code,
      body: {},
    });
    expect(requests).toHaveLength(attempts);
    expect(records.find(({ path }) => path === "c")?.attempts).toBe(attempts);
  });

  test("by its status is an output where any is accepted, after the attempts are used up", async () => {
    const http = { accept_any_status: true };
    for (const [code, count] of [
      [404, 1],
      [503, 2],
    ] as const) {
      const { response, requests } = await call({ onRequest: script(status(code)), settings: twice, http });
      expect(response).toEqual({ status: code, body: {} });
      expect(requests).toHaveLength(count);
    }
  });

  test.each([
    ["a connection that breaks", reset, "CONNECTION_FAILED"],
    ["a server that stalls", stall, "NODE_TIMED_OUT"],
  ])("by %s is tried again", async (_, answer, reason) => {
    const settings = { ...twice, timeout_ms: 200 };
    const { outcome, requests } = await call({ onRequest: script(answer), settings });
    expect(outcome.error).toMatchObject({ reason, node_id: "c" });
    expect(requests).toHaveLength(2);
  });

  test("in a synchronous execution that can do without the node is not tried again", async () => {
    const settings = { ...twice, skip_on_error: true };
    for (const [type, count] of [
      ["SYNC", 1],
      ["ASYNC", 2],
    ] as const) {
      const { response, requests } = await call({ onRequest: script(status(503)), settings, type });
      expect(response).toEqual({ status: null, body: null });
      expect(requests).toHaveLength(count);
    }
  });

  test.each([
    ["17", 17_000],
    ["0", 1_000],
    [new Date(Date.parse("2026-01-31T09:00:40Z")).toUTCString(), 40_000],
    ["86400", 3_600_000],
    ["soon", 1_000],
  ])("is tried again when the server says so: Retry-After: %s", async (retryAfter, delayMs) => {
    const onRequest = script(status(429, { "retry-after": retryAfter }), json(1));
    const settings = { retry: { max_attempts: 2, delay_ms: 1_000 } };
    const { outcome, journal, clock, server } = await beginCall({ onRequest, settings });
    await expect.poll(() => journal.waits).toEqual([{ path: "c#2", delayMs }]);
    expect(server.requests).toHaveLength(1);
    clock.advance(delayMs);
    expect((await outcome).state).toBe("COMPLETED");
  });
});

describe("a node that sends at most once", () => {
  const settings = { delivery: "AT_MOST_ONCE", timeout_ms: 200 };

  test.each([
    ["reset", reset, "OUTCOME_UNKNOWN"],
    ["stalled", stall, "OUTCOME_UNKNOWN"],
    ["answered with 503", status(503), "HTTP_STATUS"],
    [
      "answered in part",
      (response: ServerResponse) => response.write("x", () => response.destroy()),
      "OUTCOME_UNKNOWN",
    ],
    ["answered with 200, and stalled in the body", cutBody(stall), "OUTCOME_UNKNOWN"],
    ["refused in part", cutBody(reset, 503), "HTTP_STATUS"],
    ["answered with what it does not say", text("not gzip", { "content-encoding": "gzip" }), "ANSWER_UNREADABLE"],
  ])("and is %s fails after that one attempt", async (_, answer, reason) => {
    const { outcome, requests } = await call({ onRequest: script(answer), settings: { ...settings, ...twice } });
    expect(outcome.error).toMatchObject({ reason, node_id: "c" });
    expect(requests).toHaveLength(1);
  });

  test("fails by a connection that it does not get, since nothing was sent", async () => {
    // Nothing can listen on port 1 unless this machine runs tcpmux.
    const http = { method: "POST", url: "http://127.0.0.1:1/" };
    const client = await startClient({ allow: "127.0.0.1" });
    const node = { id: "c", settings: { ...settings, ...twice }, http };
    const { outcome } = await run([start, node], ["start > c"], { client });
    expect(outcome.error).toMatchObject({ reason: "CONNECTION_FAILED", node_id: "c" });
  });

  test("says so before it sends, once for all pages", async () => {
    const answer = json([1]);
    const onRequest = script(answer, answer, json([]));
    const http = { pagination: { page: { parameter: "p" } } };
    const { outcome, records, requests } = await call({ onRequest, settings, http });
    expect([outcome.state, requests.length]).toEqual(["COMPLETED", 3]);
    expect(records.map(({ path }) => path)).toEqual(["start", "c#intent", "c", "r"]);
  });

  test("does not send again on another connection, as others do within one attempt, where a kept one breaks", async () => {
    // A connection can be used again one turn of the event loop after its answer.
    const pages = { http: { pagination: { page: { parameter: "p" } } }, beforeEffect: settle };
    const onRequest = () => script(json([1]), reset, json([2]), json([]));
    const once = await call({ onRequest: onRequest(), settings, ...pages });
    expect(once.outcome.error).toMatchObject({ reason: "OUTCOME_UNKNOWN", node_id: "c" });
    expect(once.requests).toHaveLength(2);
    const again = await call({ onRequest: onRequest(), ...pages });
    expect(again.response).toMatchObject({ body: [1, 2] });
    expect(again.requests.map(({ path }) => path)).toEqual(["/?p=1", "/?p=2", "/?p=2", "/?p=3"]);
  });

  test("does not send again when the run begins anew without its answer", async () => {
    const { outcome, journal, server, stop } = await beginCall({ onRequest: stall, settings });
    await expect.poll(() => server.requests.length).toBe(1);
    stop.abort(new Error("killed"));
    await expect(outcome).rejects.toThrow("killed");
    const again = await call({ settings, earlier: journal.records });
    expect(again.outcome.error).toMatchObject({ reason: "OUTCOME_UNKNOWN", node_id: "c" });
    expect(again.requests).toEqual([]);
    expect(again.records.map(({ path, attempts }) => [path, attempts])).toEqual([["c", 1]]);
  });
});

describe("the Idempotency-Key", () => {
  const key = (count: number) => `${execution}:c:${count}`;

  test.each([
    ["breaks off", cutBody(reset)],
    ["never ends", cutBody(stall)],
  ])("stays the same after a 2xx whose body %s", async (_, cut) => {
    const { response, requests } = await call({
      onRequest: script(cut, cut, json("done")),
      settings: { retry: { max_attempts: 3 }, timeout_ms: 300 },
      http: { method: "POST", json: "{}" },
    });
    expect(response).toEqual({ status: 200, body: "done" });
    expect(keysOf(requests)).toEqual([0, 0, 0].map(key));
  });

  test("is another one after a refusal, whatever became of its body", async () => {
    const onRequest = script(cutBody(reset, 503), cutBody(stall, 429), json("done"));
    const { requests, records } = await call({
      onRequest,
      settings: { retry: { max_attempts: 3 }, timeout_ms: 300 },
      http: { method: "POST", json: "{}" },
    });
    expect(keysOf(requests)).toEqual([0, 1, 2].map(key));
    expect(records.find(({ path }) => path === "c#1")).toMatchObject({ answers: 1, error: { reason: "HTTP_STATUS" } });
  });

  test("is not used twice by a refusal for good whose body breaks off, nor by a 2xx that cannot be used", async () => {
    for (const [answer, reason] of [
      [cutBody(reset, 422), "HTTP_STATUS"],
      [text("not gzip", { "content-encoding": "gzip" }), "ANSWER_UNREADABLE"],
      [text("x", { "content-encoding": "gzip, br" }), "ANSWER_UNREADABLE"],
      [text("\xff", { "content-type": "text/plain; charset=shift_jis" }, "latin1"), "ANSWER_UNREADABLE"],
      [text("\xff", { "content-type": "application/json" }, "latin1"), "ANSWER_UNREADABLE"],
    ] as const) {
      const settings = { retry: { max_attempts: 3 } };
      const { outcome, requests } = await call({ onRequest: script(answer), settings, http: { method: "POST" } });
      expect(outcome.error).toMatchObject({ reason });
      expect(keysOf(requests)).toEqual([key(0)]);
    }
  });

  test("is the same for each page that is asked for again after an answer was lost", async () => {
    const { response, requests } = await call({
      onRequest: script(json([1]), cutBody(reset), json([1]), status(503), json([1]), json([2]), json([])),
      settings: { retry: { max_attempts: 3 } },
      http: { pagination: { page: { parameter: "p" } } },
    });
    expect(response).toMatchObject({ body: [1, 2] });
    expect(requests.map(({ path, headers }) => [path, headers["idempotency-key"]])).toEqual([
      ["/?p=1", key(0)],
      ["/?p=2", key(1)],
      ["/?p=1", key(0)],
      ["/?p=2", key(1)],
      ["/?p=1", key(0)],
      ["/?p=2", key(2)],
      ["/?p=3", key(3)],
    ]);
  });

  test("is the same for each page that was answered, also where the run is taken over behind an error", async () => {
    const http = { method: "POST", json: "{}", pagination: { page: { parameter: "p" } } };
    const options: CallOptions = { http, settings: { retry: { max_attempts: 5 } } };
    const first = script(json([1]), json([2]), status(503), json([1]), cutBody(stall));
    const { outcome, journal, server, stop } = await beginCall({ ...options, onRequest: first });
    await expect.poll(() => server.requests.length).toBe(5);
    stop.abort(new Error("killed"));
    await expect(outcome).rejects.toThrow("killed");
    const second = script(json([1]), status(429), json([1]), json([2]), json([3]), json([]));
    const again = await call({ ...options, onRequest: second, earlier: journal.records });
    expect(again.response).toMatchObject({ body: [1, 2, 3] });
    const asked = [...server.requests, ...again.requests].map(({ path, headers }) => [
      path,
      headers["idempotency-key"],
    ]);
    expect(asked).toEqual(
      [
        [1, 0],
        [2, 1],
        [3, 2],
        [1, 0],
        [2, 1],
        [1, 0],
        [2, 1],
        [1, 0],
        [2, 1],
        [3, 3],
        [4, 4],
      ].map(([page, count = 0]) => [`/?p=${page}`, key(count)]),
    );
  });

  test("is the same where the run is taken over in the middle of a body", async () => {
    const options: CallOptions = { onRequest: script(status(503), cutBody(stall)), settings: twice };
    const { outcome, journal, server, stop } = await beginCall(options);
    await expect.poll(() => server.requests.length).toBe(2);
    stop.abort(new Error("killed"));
    await expect(outcome).rejects.toThrow("killed");
    const again = await call({ ...options, onRequest: script(json(1)), earlier: journal.records });
    expect(again.response).toEqual({ status: 200, body: 1 });
    expect(keysOf([...server.requests, ...again.requests])).toEqual([0, 1, 1].map(key));
  });

  test("stays the same until a server has answered, and counts its answers", async () => {
    const onRequest = script(reset, stall, status(503), reset, status(429), json("done"));
    const { response, requests, records } = await call({
      onRequest,
      settings: { retry: { max_attempts: 6 }, timeout_ms: 200 },
      http: { method: "POST" },
    });
    expect(response).toEqual({ status: 200, body: "done" });
    expect(keysOf(requests)).toEqual([0, 0, 0, 1, 1, 2].map(key));
    expect(records.flatMap(({ path, answers }) => (path.includes("#") ? [[path, answers]] : []))).toEqual([
      ["c#1", undefined],
      ["c#2", undefined],
      ["c#3", 1],
      ["c#4", 1],
      ["c#5", 2],
    ]);
  });

  test("goes on from what is recorded when the run begins anew", async () => {
    const options: CallOptions = { onRequest: script(status(503), stall), settings: { retry: { max_attempts: 5 } } };
    const { outcome, journal, server, stop } = await beginCall(options);
    await expect.poll(() => server.requests.length).toBe(2);
    stop.abort(new Error("killed"));
    await expect(outcome).rejects.toThrow("killed");
    const again = await call({ ...options, onRequest: script(status(500), json(1)), earlier: journal.records });
    expect(keysOf([...server.requests, ...again.requests])).toEqual([0, 1, 1, 2].map(key));
    expect(again.records.map(({ path }) => path)).toEqual(["c#2", "c", "r"]);
  });

  test("names the iteration, and gives way to the author's own", async () => {
    const { server, host } = await beginCall({
      http: { headers: [{ key: "idempotency-key", value: "{{execution.id}}/x" }] },
    });
    await expect.poll(() => server.requests.length).toBe(1);
    const client = await startClient({ allow: `127.0.0.1:${server.port}` });
    const inGroup = { id: "c", group_id: "g", http: { method: "POST", url: host } };
    await run([start, { id: "g", group: { count: "2", concurrency: 1 } }, inGroup], ["start > g", "g each > c"], {
      client,
    });
    expect(keysOf(server.requests)).toEqual([`${execution}/x`, `${execution}:g[0]/c:0`, `${execution}:g[1]/c:0`]);
  });
});
