import { expect, test } from "vitest";
import { type Sent, send, startServer, versions } from "./running-server.ts";

const origin = "https://console.example.com";

/** Sends a request over HTTP/1.1 and HTTP/2 to a server that allows one origin; answers status and CORS headers. */
function check(guarantee: string, sent: Sent, expected: Readonly<Record<string, unknown>>): void {
  test.each(versions)(`${guarantee} (%s)`, async (version) => {
    const { url } = await startServer({ corsOrigins: [origin, "http://localhost:3000"] });
    const { status, headers } = await send(version, url, sent);
    const cors = Object.entries(headers).filter(([name]) => name.startsWith("access-control-"));
    expect({ status, vary: headers.vary, ...Object.fromEntries(cors) }).toEqual(expected);
  });
}

const exposed = {
  "access-control-allow-origin": origin,
  "access-control-expose-headers": expect.stringMatching(/grpc-status.*x-execution-id.*x-request-id/),
};

const preflight = (headers: Sent["headers"]): Sent => ({
  method: "OPTIONS",
  headers: { origin, "access-control-request-method": "POST", "x-api-key": [], ...headers },
});

check(
  "a page of an allowed origin may read the reply",
  { headers: { origin } },
  { status: 200, vary: "Origin", ...exposed },
);
check(
  "it may read why it was refused",
  { headers: { origin, "x-api-key": "bad" } },
  { status: 401, vary: "Origin", ...exposed },
);
check(
  "it may send the headers that it asks for, before any key is asked for",
  preflight({ "access-control-request-headers": "content-type,x-api-key,connect-protocol-version,linked_account_id" }),
  {
    status: 204,
    vary: "Origin, Access-Control-Request-Headers, Accept, Accept-Encoding",
    "access-control-allow-origin": origin,
    "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    "access-control-allow-headers": "content-type,x-api-key,connect-protocol-version,linked_account_id",
    "access-control-max-age": "7200",
  },
);
for (const other of ["https://evil.example", `${origin}.evil.example`, "null", `${origin}:443`, origin.toUpperCase()]) {
  check(`a page of ${other} is told nothing`, { headers: { origin: other } }, { status: 200, vary: "Origin" });
}
check("a caller that is no browser is served as ever", {}, { status: 200, vary: "Origin" });
check(
  "header names that are none are not echoed",
  preflight({ "access-control-request-headers": "a;b" }),
  expect.not.objectContaining({ "access-control-allow-headers": expect.anything() }),
);

test.each(versions)("nothing is allowed where nothing is set (%s)", async (version) => {
  const { url } = await startServer();
  const { headers } = await send(version, url, preflight({}));
  expect(Object.keys(headers).filter((name) => name.startsWith("access-control-") || name === "vary")).toEqual([]);
});
