import { createServer } from "node:https";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { selfSigned } from "./certificate.ts";
import { failureOf, keep, listen, request, serve, startClient } from "./outside.ts";

const authorities = getCACertificates("default");

afterEach(() => setDefaultCACertificates(authorities));

type Names = Parameters<typeof selfSigned>[0];

/** An https server, whose certificate this process trusts if the test says so. */
async function serveSecurely(
  { trusted, ...names }: Names & { trusted: boolean },
  location?: string,
): Promise<{ readonly port: number; readonly serverNames: readonly unknown[] }> {
  const pair = selfSigned(names);
  if (trusted) {
    setDefaultCACertificates([...authorities, pair.cert]);
  }
  const serverNames: unknown[] = [];
  const server = createServer(pair, (_request, response) => {
    response.writeHead(location === undefined ? 200 : 307, location === undefined ? {} : { location });
    response.end("secure");
  });
  server.on("secureConnection", (socket) => serverNames.push(socket.servername));
  return { ...(await keep(server, { address: "127.0.0.1", port: 0 })), serverNames };
}

describe("https is checked against the host of the URL, although an address is dialled", () => {
  test("a name that the certificate holds is answered, and sent as server name", async () => {
    const { port, serverNames } = await serveSecurely({ dns: ["secure.example"], ipv4: [], trusted: true });
    const client = await startClient({ allow: `127.0.0.1:${port}`, resolve: async () => ["127.0.0.1"] });
    const answer = await client.send(request(`https://secure.example:${port}/`));
    expect([answer.status, Buffer.from(answer.body).toString()]).toEqual([200, "secure"]);
    expect(serverNames).toEqual(["secure.example"]);
  });

  test("an address that the certificate holds is answered, without a server name", async () => {
    const { port, serverNames } = await serveSecurely({ dns: [], ipv4: ["127.0.0.1"], trusted: true });
    const client = await startClient({ allow: `127.0.0.1:${port}` });
    expect((await client.send(request(`https://127.0.0.1:${port}/`))).status).toBe(200);
    expect(serverNames).toEqual([false]);
  });

  test.each([
    ["another name", { dns: ["other.example"], ipv4: ["127.0.0.1"], trusted: true }, "secure.example"],
    ["another address", { dns: ["127.0.0.1"], ipv4: ["127.0.0.2"], trusted: true }, "127.0.0.1"],
    ["no known authority", { dns: ["secure.example"], ipv4: [], trusted: false }, "secure.example"],
  ])("a certificate of %s is refused", async (_case, names, host) => {
    const { port } = await serveSecurely(names);
    const client = await startClient({ allow: `127.0.0.1:${port}`, resolve: async () => ["127.0.0.1"] });
    const failure = await failureOf(client.send(request(`https://${host}:${port}/`)));
    expect([failure.reason, failure.isDefinite]).toEqual(["CONNECTION_FAILED", false]);
    expect(failure.message).toContain("TLS");
  });

  test("a server that does not speak TLS fails, and its connection is closed", async () => {
    const { port, sockets } = await listen((socket) => socket.resume().end("HTTP/1.1 200 OK\r\n\r\n"));
    const client = await startClient({ allow: `127.0.0.1:${port}` });
    expect((await failureOf(client.send(request(`https://127.0.0.1:${port}/`)))).reason).toBe("CONNECTION_FAILED");
    await expect.poll(() => sockets.every((socket) => socket.destroyed)).toBe(true);
  });

  test("a server that never answers the handshake is given up at the deadline", async () => {
    const { port } = await listen(() => {});
    const client = await startClient({ allow: `127.0.0.1:${port}` });
    const failure = await failureOf(client.send(request(`https://127.0.0.1:${port}/`, { timeoutMs: 50 })));
    expect([failure.reason, failure.isDefinite]).toEqual(["TIMED_OUT", false]);
  });
});

describe("a redirect from https to http", () => {
  test("is refused", async () => {
    const { port } = await serveSecurely({ dns: ["secure.example"], ipv4: [], trusted: true }, "http://plain.example/");
    const client = await startClient({ allow: `secure.example:${port}`, resolve: async () => ["127.0.0.1"] });
    const failure = await failureOf(client.send(request(`https://secure.example:${port}/`)));
    expect([failure.reason, failure.isDefinite]).toEqual(["EGRESS_REFUSED", true]);
    expect(failure.message).toContain("https to http");
  });

  test("is followed to a host that the allow list names", async () => {
    const plain = await serve();
    const location = `http://127.0.0.1:${plain.port}/`;
    const { port } = await serveSecurely({ dns: ["secure.example"], ipv4: [], trusted: true }, location);
    const allow = `secure.example:${port}, 127.0.0.1:${plain.port}`;
    const client = await startClient({ allow, resolve: async () => ["127.0.0.1"] });
    const answer = await client.send(request(`https://secure.example:${port}/`));
    expect([answer.status, answer.url, answer.redirects]).toEqual([200, location, 1]);
  });
});
