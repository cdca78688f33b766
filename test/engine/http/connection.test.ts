import { once } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { HttpRequest } from "../../../src/engine/http/http-request.ts";
import { countDials, failureOf, listen, request, serve, startClient } from "./outside.ts";

afterEach(() => vi.unstubAllEnvs());

/** A server that answers "ok", and a client that may call it. */
async function calling(rest: { environmentsMax?: number } = {}) {
  const server = await serve();
  const client = await startClient({ allow: `127.0.0.1:${server.port}`, ...rest });
  return { server, client, url: `http://127.0.0.1:${server.port}/` };
}

describe("connections", () => {
  test("are kept for the next call of an environment", async () => {
    const { server, client, url } = await calling();
    for (let call = 0; call < 5; call += 1) {
      await client.send(request(url, { method: "POST", body: "x" }));
    }
    expect(server.requests.length).toBe(5);
    // A connection is ready again one turn of the event loop after its answer; the first calls may not wait for it.
    expect(server.sockets.length).toBeLessThanOrEqual(2);
  });

  test("are not shared by environments", async () => {
    const { server, client, url } = await calling();
    for (const environmentId of ["a", "b", "a", "b"]) {
      await client.send(request(url, { environmentId }));
    }
    const [first, second, third, fourth] = server.requests.map(({ socket }) => socket);
    expect(first === third && second === fourth && first !== second).toBe(true);
  });

  test("carry one request at a time", async () => {
    const server = await listen((socket) => {
      // Answers only what came alone: a second request behind the first would get a server error.
      socket.on("data", (chunk) => {
        const requests = chunk.toString().split("GET ").length - 1;
        setImmediate(() => socket.write(`HTTP/1.1 ${requests === 1 ? 200 : 500} X\r\ncontent-length: 0\r\n\r\n`));
      });
    });
    const client = await startClient({ allow: `127.0.0.1:${server.port}` });
    const url = `http://127.0.0.1:${server.port}/`;
    const answers = await Promise.all(Array.from({ length: 200 }, () => client.send(request(url))));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(server.sockets.length).toBeLessThanOrEqual(128);
  });

  test("of the environment used longest ago are closed when there are too many", async () => {
    const { server, client, url } = await calling({ environmentsMax: 2 });
    for (const environmentId of ["a", "b", "a", "c"]) {
      await client.send(request(url, { environmentId }));
    }
    const [a, b, , c] = server.requests.map(({ socket }) => socket);
    await expect.poll(() => b?.destroyed).toBe(true);
    expect([a?.destroyed, c?.destroyed]).toEqual([false, false]);
  });

  test("with a call in flight outlive their environment's place", async () => {
    const release = Promise.withResolvers<void>();
    const server = await serve((incoming, response) => {
      if (incoming.url === "/slow") {
        void release.promise.then(() => response.end("late"));
      } else {
        response.end();
      }
    });
    const client = await startClient({ allow: `127.0.0.1:${server.port}`, environmentsMax: 1 });
    const url = `http://127.0.0.1:${server.port}/`;
    const slow = client.send(request(`${url}slow`, { environmentId: "a" }));
    await expect.poll(() => server.requests.length).toBe(1);
    await client.send(request(url, { environmentId: "b" }));
    release.resolve();
    expect(Buffer.from((await slow).body).toString()).toBe("late");
  });

  test("are not used again after a server sent more than it was asked for", async () => {
    const text = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue";
    const server = await listen((socket) => {
      socket.on("data", () => socket.write(`${text}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison`));
    });
    const client = await startClient({ allow: `127.0.0.1:${server.port}` });
    for (let call = 0; call < 3; call += 1) {
      const answer = await client.send(request(`http://127.0.0.1:${server.port}/`));
      expect(Buffer.from(answer.body).toString()).toBe("true");
    }
    expect(server.sockets.length).toBe(3);
  });

  describe("that break before an answer", () => {
    /** A server that answers the first request of each connection, and closes that at the next one. */
    async function answeringOnce() {
      let requests = 0;
      const server = await listen((socket) => {
        let isAnswered = false;
        socket.on("data", () => {
          requests += 1;
          if (isAnswered) {
            socket.destroy();
          } else {
            socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
          }
          isAnswered = true;
        });
      });
      const client = await startClient({ allow: `127.0.0.1:${server.port}` });
      const send = (rest: Partial<HttpRequest> = {}) =>
        client.send(request(`http://127.0.0.1:${server.port}/`, { method: "POST", body: "x", ...rest }));
      return { send, server, requests: () => requests };
    }

    test("are done without, where they were kept and the request may be sent again", async () => {
      const { send, server, requests } = await answeringOnce();
      await send();
      await expect.poll(() => server.sockets.length).toBe(1);
      // A connection can be used again one turn of the event loop after its answer.
      await new Promise(setImmediate);
      expect((await send({ isRepeatable: true })).status).toBe(200);
      expect([requests(), server.sockets.length]).toEqual([3, 2]);
    });

    test("fail a request that may not be sent again", async () => {
      const { send, requests } = await answeringOnce();
      await send();
      await new Promise(setImmediate);
      expect(await failureOf(send())).toMatchObject({ reason: "CONNECTION_FAILED", isDefinite: false });
      expect(requests()).toBe(2);
    });

    test("are done without, however many of them are kept", async () => {
      const { send, requests } = await answeringOnce();
      await Promise.all(Array.from({ length: 20 }, () => send()));
      await new Promise(setImmediate);
      const answers = await Promise.all(Array.from({ length: 20 }, () => send({ isRepeatable: true })));
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
      // A call that finds no kept connection ready takes a new one.
      expect(requests()).toBeGreaterThan(40);
    });

    test("fail a request where they are new", async () => {
      let requests = 0;
      const server = await listen((socket) => {
        socket.on("data", () => {
          requests += 1;
          socket.destroy();
        });
      });
      const client = await startClient({ allow: `127.0.0.1:${server.port}` });
      const call = client.send(request(`http://127.0.0.1:${server.port}/`, { isRepeatable: true }));
      expect((await failureOf(call)).reason).toBe("CONNECTION_FAILED");
      expect(requests).toBe(1);
    });
  });

  test("go straight to the host, whatever proxy the process is told to use", async () => {
    const proxy = await listen((socket) => socket.destroy());
    const { server, client, url } = await calling();
    for (const name of ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"]) {
      vi.stubEnv(name, `http://127.0.0.1:${proxy.port}`);
    }
    vi.stubEnv("NO_PROXY", "");
    vi.stubEnv("NODE_USE_ENV_PROXY", "1");
    expect((await client.send(request(url))).status).toBe(200);
    expect([server.requests.length, proxy.sockets.length]).toEqual([1, 0]);
    // Nor does an exception from the proxy open anything.
    vi.stubEnv("NO_PROXY", "*");
    expect((await failureOf(client.send(request(`http://127.0.0.1:${proxy.port}/`)))).reason).toBe("EGRESS_REFUSED");
    expect(proxy.sockets.length).toBe(0);
  });
});

describe("a call ends early", () => {
  test("before it is sent, when its signal has aborted", async () => {
    const { client, url } = await calling();
    const dials = countDials();
    const failure = await failureOf(client.send(request(url, { signal: AbortSignal.abort() })));
    expect(failure).toMatchObject({ reason: "ABORTED", isDefinite: false });
    expect(dials()).toBe(0);
  });

  test("while the server thinks, when its signal aborts", async () => {
    const abort = new AbortController();
    const server = await serve(() => abort.abort());
    const client = await startClient({ allow: `127.0.0.1:${server.port}` });
    const failure = await failureOf(client.send(request(`http://127.0.0.1:${server.port}/`, { signal: abort.signal })));
    expect(failure).toMatchObject({ reason: "ABORTED", isDefinite: false });
    await expect.poll(() => server.sockets[0]?.destroyed).toBe(true);
  });

  test("when the client stops, and then nothing of it runs", async () => {
    const server = await serve((incoming, response) => {
      if (incoming.url === "/answered") {
        response.end();
      }
    });
    const client = await startClient({ allow: `127.0.0.1:${server.port}` });
    const url = `http://127.0.0.1:${server.port}/`;
    await client.send(request(`${url}answered`, { environmentId: "idle" }));
    const failures = ["a", "b"].map((environmentId) => failureOf(client.send(request(url, { environmentId }))));
    await expect.poll(() => server.requests.length).toBe(3);
    await Promise.all([client.stop(), client.stop()]);
    for (const failure of await Promise.all(failures)) {
      expect(failure.reason).toBe("ABORTED");
    }
    await expect.poll(() => server.sockets.every((socket) => socket.destroyed)).toBe(true);
    expect((await failureOf(client.send(request(url)))).reason).toBe("ABORTED");
  });

  test("when the client stops during a lookup, and nothing is dialled afterwards", async () => {
    const server = await serve();
    const lookup = Promise.withResolvers<readonly string[]>();
    const asked = Promise.withResolvers<void>();
    const client = await startClient({
      allow: `127.0.0.1:${server.port}`,
      resolve: () => {
        asked.resolve();
        return lookup.promise;
      },
    });
    const failure = failureOf(client.send(request(`http://slow.example:${server.port}/`)));
    await asked.promise;
    await client.stop();
    const dials = countDials();
    lookup.resolve(["127.0.0.1"]);
    expect((await failure).reason).toBe("ABORTED");
    expect(dials()).toBe(0);
  });

  test("no listener is left behind on a signal that lives longer", async () => {
    const { client, url } = await calling();
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, "addEventListener");
    const removed = vi.spyOn(signal, "removeEventListener");
    for (let call = 0; call < 3; call += 1) {
      await client.send(request(url, { signal }));
    }
    expect(added.mock.calls.length).toBe(removed.mock.calls.length);
  });

  test("stopping twice, or before starting, does nothing; a stopped client starts again", async () => {
    const { client, url } = await calling();
    await client.stop();
    await client.stop();
    await client.start();
    await client.start();
    expect((await client.send(request(url))).status).toBe(200);
    const never = await startClient();
    await never.stop();
    expect((await failureOf(never.send(request(url)))).reason).toBe("ABORTED");
  });

  test("a server that closes an idle connection does not fail the next call", async () => {
    const { server, client, url } = await calling();
    await client.send(request(url));
    const [socket] = server.sockets;
    socket?.end();
    if (socket && !socket.destroyed) {
      await once(socket, "close");
    }
    expect((await client.send(request(url))).status).toBe(200);
    expect(server.sockets.length).toBe(2);
  });
});
