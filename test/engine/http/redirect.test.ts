import { describe, expect, test } from "vitest";
import type { HeaderPair, HttpMethod } from "../../../src/engine/http/http-request.ts";
import { countDials, failureOf, listen, request, serve, startClient } from "./outside.ts";

const allowed = (...servers: readonly { port: number }[]) => servers.map(({ port }) => `127.0.0.1:${port}`).join();

/** A server that redirects `/<status>` to the given place, and answers everything else. */
async function redirecting(location: string) {
  return serve((request, response) => {
    const status = Number(/^\/(3\d\d)$/.exec(request.url ?? "")?.[1]);
    if (status > 0) {
      response.writeHead(status, { location });
    }
    response.end("body");
  });
}

describe("a redirect is checked like a first request", () => {
  test.each([
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:127.0.0.1]/",
    "http://localhost/",
    "http://127.0.0.1:1/",
    "//10.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "http://user:password@public.example/",
    "http://",
    "http://public.example:22/",
  ])("one to %s is refused, after a definite answer", async (location) => {
    const server = await redirecting(location);
    const client = await startClient({ allow: allowed(server), resolve: async () => ["127.0.0.1"] });
    const dials = countDials();
    const failure = await failureOf(client.send(request(`http://127.0.0.1:${server.port}/302`)));
    expect(failure.reason).toMatch(/^(EGRESS_REFUSED|URL_INVALID)$/);
    expect(failure.isDefinite).toBe(true);
    expect(dials()).toBe(1);
  });

  test("the hop behind one that is allowed is checked too", async () => {
    const third = await listen(() => {});
    const second = await redirecting(`http://127.0.0.1:${third.port}/`);
    const first = await redirecting(`http://127.0.0.1:${second.port}/307`);
    const client = await startClient({ allow: allowed(first, second) });
    const failure = await failureOf(client.send(request(`http://127.0.0.1:${first.port}/301`)));
    expect([failure.reason, failure.isDefinite]).toEqual(["EGRESS_REFUSED", true]);
    expect([second.requests.length, third.sockets.length]).toEqual([1, 0]);
  });

  test("a redirect that a page asks for is not one", async () => {
    const page = '<meta http-equiv="refresh" content="0;url=http://169.254.169.254/">';
    const server = await serve((_request, response) => response.setHeader("refresh", "0;url=/x").end(page));
    const client = await startClient({ allow: allowed(server) });
    const answer = await client.send(request(`http://127.0.0.1:${server.port}/`));
    expect([answer.status, answer.redirects, Buffer.from(answer.body).toString()]).toEqual([200, 0, page]);
  });
});

describe("redirects end", () => {
  test("with a failure after five", async () => {
    const server = await redirecting("/302");
    const client = await startClient({ allow: allowed(server) });
    const failure = await failureOf(client.send(request(`http://127.0.0.1:${server.port}/302`)));
    expect(failure).toMatchObject({
      reason: "REDIRECT_LIMIT",
      isDefinite: true,
      limit: { name: "redirects", value: 5 },
    });
    expect(server.requests.length).toBe(6);
  });

  test("at the limit that the request sets", async () => {
    const server = await redirecting("/end");
    const client = await startClient({ allow: allowed(server) });
    const url = `http://127.0.0.1:${server.port}/302`;
    const answer = await client.send(request(url, { redirectsMax: 1 }));
    expect([answer.status, answer.redirects, answer.url]).toEqual([200, 1, url.replace("302", "end")]);
  });

  test("before they begin where none are wanted: the redirect is the answer", async () => {
    const server = await redirecting("/end");
    const client = await startClient({ allow: allowed(server) });
    const answer = await client.send(request(`http://127.0.0.1:${server.port}/302`, { redirectsMax: 0 }));
    expect([answer.status, answer.redirects, answer.headers["location"]]).toEqual([302, 0, "/end"]);
  });

  test.each([
    ["no target", "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n"],
    ["two targets", "HTTP/1.1 302 Found\r\nlocation: /a\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n"],
    ["a status that is none", "HTTP/1.1 304 Not Modified\r\nlocation: /a\r\n\r\n"],
  ])("at an answer with %s", async (_case, text) => {
    const server = await listen((socket) => socket.once("data", () => socket.end(text)));
    const client = await startClient({ allow: allowed(server) });
    expect((await client.send(request(`http://127.0.0.1:${server.port}/`))).redirects).toBe(0);
  });

  test("a target in UTF-8 is read as such", async () => {
    const server = await redirecting(Buffer.from("/ü").toString("latin1"));
    const client = await startClient({ allow: allowed(server) });
    await client.send(request(`http://127.0.0.1:${server.port}/302`));
    expect(server.requests.map(({ path }) => path)).toEqual(["/302", "/%C3%BC"]);
  });
});

describe("a redirect keeps or changes the method as browsers do", () => {
  test.each<[number, HttpMethod, HttpMethod]>([
    [301, "POST", "GET"],
    [302, "POST", "GET"],
    [303, "POST", "GET"],
    [303, "PUT", "GET"],
    [303, "HEAD", "HEAD"],
    [301, "PUT", "PUT"],
    [302, "DELETE", "DELETE"],
    [307, "POST", "POST"],
    [308, "PATCH", "PATCH"],
  ])("%i after %s: %s", async (status, method, next) => {
    const server = await redirecting("/end");
    const client = await startClient({ allow: allowed(server) });
    const headers: HeaderPair[] = [["content-type", "text/plain"]];
    const body = method === "HEAD" ? {} : { body: "sent" };
    await client.send(request(`http://127.0.0.1:${server.port}/${status}`, { method, headers, ...body }));
    const [, last] = server.requests;
    expect(last?.method).toBe(next);
    expect(last?.body).toBe(next === method && method !== "HEAD" ? "sent" : "");
    expect(last?.headers["content-type"]).toBe(next === method ? "text/plain" : undefined);
  });
});

describe("a secret stays with the origin it was written for", () => {
  const headers: readonly HeaderPair[] = [
    ["Authorization", "Bearer secret"],
    ["Cookie", "session=secret"],
    ["X-Api-Key", "secret"],
    ["Idempotency-Key", "secret"],
    ["X-Signature", "secret"],
    ["x-signature", "secret"],
    ["X-Plain", "kept"],
  ];
  const secretHeaders = new Set(["x-signature"]);

  test("it goes along to the same origin", async () => {
    const server = await redirecting("/end");
    const client = await startClient({ allow: allowed(server) });
    await client.send(request(`http://127.0.0.1:${server.port}/307`, { headers, secretHeaders }));
    const [first, second] = server.requests;
    expect(second?.rawHeaders).toEqual(first?.rawHeaders);
    expect(second?.headers["idempotency-key"]).toBe("secret");
  });

  test("it does not go to another, nor back again", async () => {
    const home: { port: number } = { port: 0 };
    const away = await serve((_request, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${home.port}/end` }).end();
    });
    const server = await redirecting(`http://127.0.0.1:${away.port}/`);
    home.port = server.port;
    const client = await startClient({ allow: allowed(server, away) });
    await client.send(request(`http://127.0.0.1:${server.port}/307`, { headers, secretHeaders }));
    for (const seen of [away.requests[0], server.requests[1]]) {
      expect(seen?.rawHeaders.join()).not.toContain("secret");
      expect(seen?.headers["x-plain"]).toBe("kept");
    }
    expect(server.requests[0]?.headers.authorization).toBe("Bearer secret");
  });
});
