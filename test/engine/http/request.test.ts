import { describe, expect, test } from "vitest";
import type { HeaderPair, HttpMethod } from "../../../src/engine/http/http-request.ts";
import { failureOf, request, serve, startClient } from "./outside.ts";

/** A server that answers "ok", and a client that may call it. */
async function calling() {
  const server = await serve();
  const client = await startClient({ allow: `127.0.0.1:${server.port}` });
  return { server, client, url: `http://127.0.0.1:${server.port}/` };
}

describe("a request arrives as its author wrote it", () => {
  const methods: readonly HttpMethod[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

  test.each(methods)("%s without a body", async (method) => {
    const { server, client, url } = await calling();
    const answer = await client.send(request(`${url}a/b?c=d#e`, { method, headers: [["X-Name", "value"]] }));
    expect(answer).toMatchObject({ status: 200, url: `${url}a/b?c=d`, redirects: 0 });
    expect(Buffer.from(answer.body).toString()).toBe(method === "HEAD" ? "" : "ok");
    expect(server.requests).toMatchObject([{ method, path: "/a/b?c=d", headers: { "x-name": "value" }, body: "" }]);
  });

  test.each(methods.filter((method) => method !== "HEAD"))("%s with a body of text or bytes", async (method) => {
    const { server, client, url } = await calling();
    const bytes = Uint8Array.from({ length: 256 }, (_value, index) => index);
    await client.send(request(url, { method, body: "téxt" }));
    await client.send(request(url, { method, body: bytes.subarray(1) }));
    await client.send(request(url, { method, body: "" }));
    const bodies = server.requests.map(({ body }) => Buffer.from(body, "latin1"));
    expect(bodies).toEqual([Buffer.from("téxt"), Buffer.from(bytes.subarray(1)), Buffer.alloc(0)]);
    expect(server.requests[1]?.headers["content-length"]).toBe("255");
  });

  test("its own user agent goes before ours, and a name may come twice", async () => {
    const { server, client, url } = await calling();
    const headers: readonly HeaderPair[] = [
      ["User-Agent", "theirs"],
      ["X-Many", "a"],
      ["X-Many", "b"],
      ["X-Latin", "é\t~"],
    ];
    await client.send(request(url, { headers }));
    await client.send(request(url));
    expect(server.requests[0]?.headers).toMatchObject({ "user-agent": "theirs", "x-many": "a, b", "x-latin": "é\t~" });
    expect(server.requests[1]?.headers["user-agent"]).toBe("Flowcall");
    // As versions send it that were published before the header was Flowcall's own.
    await client.send(request(url, { headers: [["CDN-Loop", "edge"]], chain: "flowcall" }));
    expect(server.requests[2]?.headers["cdn-loop"]).toBe("edge, flowcall");
  });
});

describe("nothing that goes into a request makes another of it", () => {
  test.each([
    "Host",
    "content-length",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
    "Expect",
    "Proxy-Authorization",
    "proxy-anything",
    "Accept-Encoding",
    "HTTP2-Settings",
  ])("the header %s is refused by name", async (name) => {
    const { server, client, url } = await calling();
    const failure = await failureOf(client.send(request(url, { headers: [[name, "secret"]] })));
    expect([failure.reason, failure.isDefinite]).toEqual(["HEADER_REFUSED", false]);
    expect(failure.message).toContain(`"${name}"`);
    expect(failure.message).not.toContain("secret");
    expect(server.sockets.length).toBe(0);
  });

  test.each<HeaderPair>([
    ["x", "a\r\nHost: evil"],
    ["x", "a\nb"],
    ["x", "a\rb"],
    ["x", "a\u0000b"],
    ["x", "a\u007fb"],
    ["x", "a\u{10a}b"],
    ["x", "a\u{1f600}"],
    ["x\r\ny", "a"],
    ["x y", "a"],
    ["x:", "a"],
    ["", "a"],
    [":path", "a"],
    ["é", "a"],
    ["x", "a".repeat(40_000)],
  ])("the header %j: %j is refused", async (name, value) => {
    const { server, client, url } = await calling();
    expect((await failureOf(client.send(request(url, { headers: [[name, value]] })))).reason).toBe("HEADER_REFUSED");
    expect(server.sockets.length).toBe(0);
  });

  test("more headers than fit are refused", async () => {
    const { client, url } = await calling();
    const headers = Array.from({ length: 101 }, (): HeaderPair => ["x", "y"]);
    expect((await failureOf(client.send(request(url, { headers })))).reason).toBe("HEADER_REFUSED");
  });

  test.each([
    ["a/../../../b", "/b"],
    ["a/%2e%2e/b", "/b"],
    ["a/..%2fb", "/a/..%2fb"],
    ["a\\..\\b", "/b"],
    ["a b", "/a%20b"],
    ["a?b c", "/a?b%20c"],
    ["a%0d%0aHost:%20evil", "/a%0d%0aHost:%20evil"],
    ["é\u{1f600}", "/%C3%A9%F0%9F%98%80"],
    ["@evil.example/", "/@evil.example/"],
    ["//evil.example/", "///evil.example/"],
    ["a HTTP/1.1", "/a%20HTTP/1.1"],
    // Not `^`: Nodes before 24 leave it as it is.
    ["a'\"<>`{}|", "/a'%22%3C%3E%60%7B%7D|"],
  ])("the path %j stays on its server as %j", async (path, sent) => {
    const { server, client, url } = await calling();
    await client.send(request(url + path));
    expect(server.requests.map((seen) => seen.path)).toEqual([sent]);
    expect(server.requests[0]?.headers.host).toBe(`127.0.0.1:${server.port}`);
  });

  test.each(["a\r\nb", "a\tb", "a\nb", "a\u0000b", "\u0085", "x".repeat(17_000)])(
    "the path %j is refused",
    async (path) => {
      const { client, url } = await calling();
      expect((await failureOf(client.send(request(url + path)))).reason).toBe("URL_INVALID");
    },
  );

  test("a message holds nothing of a URL but its host", async () => {
    const client = await startClient({ resolve: async () => ["10.0.0.1"] });
    for (const url of ["http://a.example/secret?secret#secret", "http://secret:secret@a.example/", "http://secret^/"]) {
      expect((await failureOf(client.send(request(url)))).message).not.toContain("secret");
    }
  });
});
