import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { expect, test } from "vitest";
import { originOf } from "../../src/server/requests/request-origin.ts";

const socket = { localAddress: "::1", localPort: 4180 };

function check(
  parts: { readonly url?: string; readonly headers: Record<string, string>; readonly stream?: object },
  origin: string,
) {
  // What is read of a request, as Node gives it.
  const request = { url: "/x", socket, ...parts } as unknown as IncomingMessage | Http2ServerRequest;
  expect(originOf(request)).toBe(origin);
}

const forwarded = { "x-forwarded-host": "evil.example", "x-forwarded-proto": "https", forwarded: "host=evil.example" };

test("the origin of a request is what it names itself, and never what it says was forwarded", () => {
  check({ headers: { ...forwarded, host: "Flows.Example:8080" } }, "http://flows.example:8080");
  check({ headers: { host: "flows.example:80" } }, "http://flows.example");
  check({ url: "https://line.example/x", headers: { host: "other.example" } }, "https://line.example");
  const http2 = { stream: {}, headers: { ...forwarded, ":scheme": "https", ":authority": "flows.example" } };
  check(http2, "https://flows.example");
  check({ stream: {}, headers: { ":scheme": "ftp", host: "flows.example" } }, "http://flows.example");
});

test("a request that names no server, or none that a URL can have, came in where it did", () => {
  for (const host of ["", "a.example/path", "me@a.example", "a b", "a.example?x", "[::1", "a.example:99999"]) {
    check({ headers: { host } }, "http://[::1]:4180");
  }
  check({ headers: {} }, "http://[::1]:4180");
});
