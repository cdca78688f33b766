import { expect, test } from "vitest";
import { RequestError } from "../../src/domain/request-error.ts";
import { goodKey, type RunningOptions, type Sent, send, startServer, versions } from "./running-server.ts";

type Case = {
  readonly server?: RunningOptions;
  readonly sent: Sent;
  readonly status: number;
  readonly json: object;
  /** What the server did; absent where it does not matter. */
  readonly events?: readonly string[];
};

/** Sends one request over HTTP/1.1 and HTTP/2: the verdict is the same. */
function check(guarantee: string, { server, sent, status, json, events }: Case): void {
  test.each(versions)(`${guarantee} (%s)`, async (version) => {
    const running = await startServer(server);
    const reply = await send(version, running.url, sent);
    expect(reply.json).toMatchObject(json);
    expect(reply.status).toBe(status);
    if (events) {
      expect(running.events).toEqual(events);
    }
    expect(running.log.join("")).not.toContain(goodKey);
  });
}

check("a good key with the scope is served and told who it stands for", {
  sent: { body: "hello" },
  status: 200,
  json: { text: "hello", keyId: "key", protocol: "connect" },
  events: ["authenticate", "serve"],
});
check("a public route asks for no key", {
  sent: { path: "/public", headers: { "x-api-key": "nonsense" } },
  status: 200,
  json: { text: "" },
  events: ["serve"],
});
check("an empty key is a missing key", {
  sent: { headers: { "x-api-key": "" } },
  status: 401,
  json: { reason: "MISSING_API_KEY" },
  events: ["refuse MISSING_API_KEY"],
});
check("a key that is not known is refused", {
  sent: { headers: { "x-api-key": "tk_fedcba9876543210" } },
  status: 401,
  json: { reason: "INVALID_API_KEY" },
  events: ["authenticate", "refuse INVALID_API_KEY"],
});
check("two keys are refused and never joined, though both are good", {
  sent: { headers: { "x-api-key": [goodKey, goodKey] } },
  status: 401,
  json: { reason: "INVALID_API_KEY" },
  events: ["refuse INVALID_API_KEY"],
});
check("a key may be a bearer token, whose scheme is read in any case", {
  sent: { headers: { "x-api-key": [], authorization: `bEARER ${goodKey}` } },
  status: 200,
  json: { keyId: "key" },
  events: ["authenticate", "serve"],
});
check("the same key twice over is one key", {
  sent: { headers: { authorization: `Bearer ${goodKey}` } },
  status: 200,
  json: { keyId: "key" },
});
check("an empty key beside a bearer token is a missing one", {
  sent: { headers: { "x-api-key": "", authorization: `Bearer ${goodKey}` } },
  status: 200,
  json: { keyId: "key" },
});
check("other credentials beside a key are a proxy's, and not read", {
  sent: { headers: { authorization: "Basic dXNlcjpwYXNz" } },
  status: 200,
  json: { keyId: "key" },
});
check("a key and another bearer token are refused", {
  sent: { headers: { authorization: "Bearer tk_fedcba9876543210" } },
  status: 401,
  json: { reason: "INVALID_API_KEY", message: expect.stringContaining("different API keys") },
  events: ["refuse INVALID_API_KEY"],
});
for (const authorization of ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", `Bearer ${goodKey} x`, goodKey, ""]) {
  check(`credentials ${JSON.stringify(authorization)} are no key`, {
    sent: { headers: { "x-api-key": [], authorization } },
    status: 401,
    json: { reason: "MISSING_API_KEY", message: expect.stringContaining("authorization") },
    events: ["refuse MISSING_API_KEY"],
  });
}
check("a key without the scope is refused with the scope's name", {
  sent: { path: "/admin" },
  status: 403,
  json: { reason: "SCOPE_MISSING", message: "The API key lacks the scope admin." },
  events: ["authenticate", "refuse SCOPE_MISSING"],
});
check("a server that is not ready asks nobody for a key", {
  server: { isReady: () => false },
  sent: { headers: { "x-api-key": "" } },
  status: 503,
  json: { reason: "DATABASE_UNAVAILABLE" },
  events: ["refuse DATABASE_UNAVAILABLE"],
});
check("a server that is not ready still serves its public routes", {
  server: { isReady: () => false },
  sent: { path: "/public" },
  status: 200,
  json: { text: "" },
});
check("a refusal of the key look-up is told as it is", {
  server: { keys: { authenticate: () => Promise.reject(new RequestError("DATABASE_UNAVAILABLE", "no database")) } },
  sent: {},
  status: 503,
  json: { reason: "DATABASE_UNAVAILABLE", message: "no database" },
});
check("a failure of the key look-up tells nothing of its cause", {
  server: { keys: { authenticate: () => Promise.reject(new Error("select secret from api_key")) } },
  sent: {},
  status: 500,
  json: { reason: "SERVER_ERROR", message: expect.not.stringContaining("secret") },
});
check("a protocol handler that fails to serve still answers", {
  server: { serve: () => Promise.reject(new Error("broken")) },
  sent: {},
  status: 500,
  json: { reason: "SERVER_ERROR" },
  events: ["authenticate", "serve", "refuse SERVER_ERROR"],
});
check("a protocol handler that fails to match still answers", {
  server: {
    protocolHandlers: [
      {
        match: () => {
          throw new Error("broken");
        },
      },
    ],
  },
  sent: {},
  status: 500,
  json: { error_code: "SERVER_ERROR" },
});
check("a path that no protocol handler knows is not found", {
  sent: { path: "/nothing" },
  status: 404,
  json: {
    status_code: 404,
    http_error_type: "NOT_FOUND",
    error_code: "ROUTE_NOT_FOUND",
    request_id: expect.any(String),
  },
});
check("the process says that it lives although it is not ready", {
  server: { isReady: () => false },
  sent: { method: "GET", path: "/healthz" },
  status: 200,
  json: { status: "ok" },
});
check("a probe takes no POST", {
  sent: { path: "/healthz" },
  status: 405,
  json: { error_code: "METHOD_NOT_ALLOWED", details: { metadata: { allow: "GET, HEAD, OPTIONS" } } },
});
check("a ready server says so", {
  sent: { method: "GET", path: "/readyz" },
  status: 200,
  json: { status: "ready" },
});
check("a server that is not ready says so, and why", {
  server: { isReady: () => false },
  sent: { method: "GET", path: "/readyz?verbose" },
  status: 503,
  json: { status: "not ready", cause: "the database is not reached" },
});
check("a sane request id is kept", {
  sent: { headers: { "x-request-id": "my-id:1" } },
  status: 200,
  json: { requestId: "my-id:1" },
});
for (const id of ["with blank", "x".repeat(129), ["one", "two"]]) {
  check(`the request id ${JSON.stringify(id).slice(0, 20)} is replaced`, {
    sent: { headers: { "x-request-id": id } },
    status: 200,
    json: { requestId: expect.stringMatching(/^[0-9a-f]{24}$/) },
  });
}

test.each(versions)("a missing key is named before anything else is looked at (%s)", async (version) => {
  const { url, events } = await startServer();
  const reply = await send(version, url, { headers: { "x-api-key": [] } });
  expect(reply.json).toMatchObject({ reason: "MISSING_API_KEY" });
  expect(events).toEqual(["refuse MISSING_API_KEY"]);
});

test("two bearer tokens are refused and never joined", async () => {
  const { url, events } = await startServer();
  const authorization = [`Bearer ${goodKey}`, `Bearer ${goodKey}`];
  // Node's HTTP/2 client sends one only.
  const reply = await send("http1", url, { headers: { "x-api-key": [], authorization } });
  expect([reply.status, reply.json["reason"]]).toEqual([401, "INVALID_API_KEY"]);
  expect(events).toEqual(["refuse INVALID_API_KEY"]);
});

test.each(versions)("a refusal with status 401 says how to authenticate (%s)", async (version) => {
  const { url } = await startServer();
  const challengeOf = async (headers: Sent["headers"] = {}) =>
    (await send(version, url, { path: "/own", headers })).headers["www-authenticate"];
  expect(await challengeOf({ "x-api-key": "" })).toBe('Bearer realm="flowcall"');
  expect(await challengeOf({ "x-api-key": "tk_fedcba9876543210" })).toBe(
    'Bearer realm="flowcall", error="invalid_token"',
  );
});

test.each(versions)("every reply carries its request id (%s)", async (version) => {
  const { url } = await startServer();
  const reply = await send(version, url, { path: "/nothing" });
  expect(reply.headers["x-request-id"]).toBe(reply.json["request_id"]);
});

test.each(versions)("a protocol handler sees headers one by one and the path as it came (%s)", async (version) => {
  const seen: unknown[] = [];
  const { url } = await startServer({
    protocolHandlers: [
      {
        match({ path, query, headers }) {
          seen.push(
            path,
            query,
            headers.get("tag"),
            [...headers.keys()].filter((name) => name.startsWith(":")),
          );
          return undefined;
        },
      },
    ],
  });
  await send(version, url, { path: "/a%2Fb//c;d?x=%31&?", headers: { Tag: ["a", "b, c"] } });
  expect(seen).toEqual(["/a%2Fb//c;d", "x=%31&?", ["a", "b, c"], []]);
});

test("the log has a warning for a server's fault, no more than a debug line else, and no query", async () => {
  const { url, log, server } = await startServer({ serve: () => Promise.reject(new Error("broken")) });
  await send("http1", url, { path: "/nothing?secret" });
  await send("http1", url, { path: "/own?secret" });
  await server.stop();
  const lines = log.map((line) => JSON.parse(line));
  expect(lines.map(({ level, path, status }) => [level, path, status])).toEqual([
    [20, "/nothing", 404],
    [50, undefined, undefined],
    [40, "/own", 500],
  ]);
  expect(lines[1].err.message).toBe("broken");
  expect(log.join("")).not.toContain("secret");
});
