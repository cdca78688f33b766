import { once } from "node:events";
import type { Socket } from "node:net";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { answering, failureOf, listen, request, serve, startClient } from "./outside.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** A client that may call one scripted server, and how to call it. */
async function calling(onSocket: (socket: Socket) => void) {
  const server = await listen(onSocket);
  const client = await startClient({ allow: `127.0.0.1:${server.port}` });
  const url = `http://127.0.0.1:${server.port}/`;
  return { server, client, url, send: (rest = {}) => client.send(request(url, rest)) };
}

/** Writes pieces as fast as they are taken, until the other side is gone. */
async function writeForever(socket: Socket, piece: string | Uint8Array): Promise<void> {
  while (!socket.destroyed) {
    if (!socket.write(piece)) {
      await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => undefined);
    }
  }
}

describe("a hostile answer costs little", () => {
  test("a body without end is cut at the limit", async () => {
    const { server, send } = await calling((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      void writeForever(socket, Buffer.alloc(64 * kibibyte));
    });
    expect(await failureOf(send())).toMatchObject({
      reason: "ANSWER_TOO_LARGE",
      isDefinite: true,
      limit: { name: "answer_bytes", value: mebibyte },
    });
    await expect.poll(() => server.sockets[0]?.destroyed).toBe(true);
    // What lies in the buffers of two sockets comes on top of the limit.
    expect(server.sockets[0]?.bytesWritten).toBeLessThan(32 * mebibyte);
  });

  test("a limit counts every byte, and the last one that fits is taken", async () => {
    const { send } = await calling(answering(`HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n${"x".repeat(1000)}`));
    expect((await send({ answerBytesMax: 1000 })).body.length).toBe(1000);
    expect(await failureOf(send({ answerBytesMax: 999 }))).toMatchObject({ reason: "ANSWER_TOO_LARGE" });
  });

  test.each([
    ["gzip", Buffer.concat(Array(20).fill(gzipSync(Buffer.alloc(16 * mebibyte))))],
    ["deflate", deflateSync(Buffer.alloc(64 * mebibyte))],
    ["deflate", deflateRawSync(Buffer.alloc(64 * mebibyte))],
    ["br", brotliCompressSync(Buffer.alloc(64 * mebibyte))],
    ["zstd", zstdCompressSync(Buffer.alloc(64 * mebibyte))],
  ])("a small body in %s that decodes into a huge one is cut at the limit", async (encoding, body) => {
    const head = `HTTP/1.1 200 OK\r\ncontent-encoding: ${encoding}\r\ncontent-length: ${body.length}\r\n\r\n`;
    const { send } = await calling(answering(Buffer.concat([Buffer.from(head), body])));
    const before = process.memoryUsage().rss;
    const failure = await failureOf(send());
    expect(failure).toMatchObject({ reason: "ANSWER_TOO_LARGE", isDefinite: true });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * mebibyte);
  });

  test("a coding that asks for more memory than a window of 8 MiB is refused", async () => {
    // A frame of Zstandard (RFC 8878, 3.1.1) whose window is 2^27 bytes, with one empty block.
    const body = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (27 - 10) << 3, 0x01, 0x00, 0x00]);
    const head = `HTTP/1.1 200 OK\r\ncontent-encoding: zstd\r\ncontent-length: ${body.length}\r\n\r\n`;
    const { send } = await calling(answering(Buffer.concat([Buffer.from(head), body])));
    expect(await failureOf(send())).toMatchObject({ reason: "ANSWER_UNREADABLE", isDefinite: true });
  });

  test("a body in pieces of one byte costs no multiple of its size", async () => {
    const { send } = await calling((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      void writeForever(socket, "1\r\nx\r\n".repeat(10_000));
    });
    const before = process.memoryUsage().rss;
    expect(await failureOf(send())).toMatchObject({ reason: "ANSWER_TOO_LARGE" });
    expect(process.memoryUsage().rss - before).toBeLessThan(96 * mebibyte);
  });

  test("a body that drips is given up at the deadline of the whole call", async () => {
    const { server, send } = await calling((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const drip = setInterval(() => socket.write("x"), 10);
      socket.on("close", () => clearInterval(drip));
    });
    expect(await failureOf(send({ timeoutMs: 200 }))).toMatchObject({ reason: "TIMED_OUT", isDefinite: false });
    await expect.poll(() => server.sockets[0]?.destroyed).toBe(true);
  });

  test("headers that drip are given up at the same deadline, without a definite answer", async () => {
    const { send } = await calling((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const drip = setInterval(() => socket.write("x: y\r\n"), 10);
      socket.on("close", () => clearInterval(drip));
    });
    expect(await failureOf(send({ timeoutMs: 200 }))).toMatchObject({ reason: "TIMED_OUT", isDefinite: false });
  });

  test("the deadline holds over redirects together", async () => {
    const { server, send } = await calling((socket) => {
      const answer = () => socket.write("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n");
      socket.on("data", () => setTimeout(answer, 60));
    });
    expect((await failureOf(send({ timeoutMs: 150, redirectsMax: 1000 }))).reason).toBe("TIMED_OUT");
    expect(server.sockets.length).toBeLessThan(5);
  });

  test.each([
    ["many", "x: y\r\n".repeat(100_000)],
    ["one long", `x: ${"y".repeat(mebibyte)}\r\n`],
  ])("%s headers are cut at their limit", async (_case, headers) => {
    const { send } = await calling(answering(`HTTP/1.1 200 OK\r\n${headers}\r\n`));
    expect(await failureOf(send())).toMatchObject({
      reason: "ANSWER_TOO_LARGE",
      isDefinite: true,
      limit: { name: "answer_header_bytes", value: 16 * kibibyte },
    });
  });

  test("interim answers without end are no answer", async () => {
    const { send } = await calling((socket) => {
      void writeForever(socket, "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(100));
    });
    expect(await failureOf(send())).toMatchObject({ reason: "CONNECTION_FAILED", isDefinite: false });
  });

  test("as many interim answers as the limit do no harm, and one more is refused", async () => {
    for (const status of ["100 Continue", "103 Early Hints"]) {
      const interim = `HTTP/1.1 ${status}\r\nlink: </x>\r\n\r\n`;
      const final = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
      const enough = await calling(answering(interim.repeat(16) + final));
      expect((await enough.send()).status).toBe(200);
      const tooMany = await calling(answering(interim.repeat(17) + final));
      expect(await failureOf(tooMany.send())).toMatchObject({ reason: "CONNECTION_FAILED", isDefinite: false });
    }
  });
});

describe("an answer that is cut short or cannot be read is a failure", () => {
  test.each([
    ["nothing", "", false],
    ["garbage", "\u0000\u0001\u0002 garbage\r\n\r\n", false],
    ["another protocol", "220 mail.example ESMTP\r\n", false],
    ["a status line alone", "HTTP/1.1 200 OK\r\n", false],
    ["a bad header", "HTTP/1.1 200 OK\r\nbad header\r\n\r\n", false],
    ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", false],
    ["a length and chunks", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\nx", false],
    ["an upgrade", "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", false],
    ["less than it promised", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx", false],
    ["a chunk cut short", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nx", false],
    ["a bad chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nx", false],
    ["nothing but 100 Continue", "HTTP/1.1 100 Continue\r\n\r\n", false],
    ["100 Continue without end", "HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000), false],
    ["gzip that is none", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nnot gzip", true],
    ["zstd that is none", "HTTP/1.1 200 OK\r\ncontent-encoding: zstd\r\n\r\nnot zstd", true],
    ["deflate that is none", "HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\n\r\nnot deflate", true],
    ["an encoding that nothing here undoes", "HTTP/1.1 200 OK\r\ncontent-encoding: compress\r\n\r\nx", true],
    ["an encoding twice", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip\r\n\r\nx", true],
    ["encodings in two headers", "HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-encoding: gzip\r\n\r\nx", true],
  ])("%s", async (_case, text, isDefinite) => {
    const { send, server } = await calling(answering(text));
    const failure = await failureOf(send());
    expect(failure).toMatchObject({ reason: isDefinite ? "ANSWER_UNREADABLE" : "CONNECTION_FAILED", isDefinite });
    expect(failure.message).not.toMatch(/UNKNOWN|undefined/);
    await expect.poll(() => server.sockets.every((socket) => socket.destroyed)).toBe(true);
  });

  test.each([
    ["a redirect", "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\nx", "EGRESS_REFUSED"],
    ["an encoding twice", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip, br\r\n\r\nx", "ANSWER_UNREADABLE"],
  ])("a body without end that nobody reads, of %s, is let go of", async (_case, text, reason) => {
    const { server, send } = await calling((socket) => socket.once("data", () => socket.write(text)));
    expect(await failureOf(send())).toMatchObject({ reason, isDefinite: true });
    await expect.poll(() => server.sockets[0]?.destroyed).toBe(true);
  });

  test.each([404, 503])("but a status %i is an answer, whatever becomes of its body", async (status) => {
    for (const [rest, reason] of [
      ["content-length: 100\r\n\r\nx", "CONNECTION_FAILED"],
      ["content-encoding: gzip\r\n\r\nnot gzip", "ANSWER_UNREADABLE"],
      [`\r\n${"x".repeat(2_000)}`, "ANSWER_TOO_LARGE"],
    ]) {
      const { send } = await calling(answering(`HTTP/1.1 ${status} X\r\nretry-after: 7\r\n${rest}`));
      const answer = await send({ answerBytesMax: 1_000 });
      expect(answer).toMatchObject({ status, headers: { "retry-after": "7" }, unread: { reason, isDefinite: true } });
      expect(answer.body.length).toBe(0);
    }
  });

  test.each(["content-length: 100\r\n", ""])(
    "a reset in the middle of a body, of which is told: %j",
    async (length) => {
      const { send } = await calling((socket) => {
        // Where a reset has come by the time that data is read, the libuv of Node 22 takes it for an end.
        const reset = () => setTimeout(() => socket.resetAndDestroy(), 50);
        socket.once("data", () => socket.write(`HTTP/1.1 200 OK\r\n${length}\r\nx`, reset));
      });
      expect(await failureOf(send())).toMatchObject({ reason: "CONNECTION_FAILED", isDefinite: false });
    },
  );

  test("a reset before an answer is not definite", async () => {
    const { send } = await calling((socket) => socket.once("data", () => socket.resetAndDestroy()));
    expect(await failureOf(send())).toMatchObject({ reason: "CONNECTION_FAILED", isDefinite: false });
  });

  test("a port without a listener", async () => {
    const { port } = await listen(() => {});
    const client = await startClient({ allow: "127.0.0.1" });
    // Nothing can listen on port 1 unless this machine runs tcpmux; the port of our own listener is surely taken.
    expect(port).not.toBe(1);
    const failure = await failureOf(client.send(request("http://127.0.0.1:1/")));
    expect(failure).toMatchObject({ reason: "CONNECTION_FAILED", isDefinite: false });
    expect(failure.message).toContain("refused the connection");
  });

  test("a name that is not found", async () => {
    const client = await startClient();
    const failure = await failureOf(client.send(request("http://nowhere.example/")));
    expect(failure).toMatchObject({ reason: "CONNECTION_FAILED", isDefinite: false });
    expect(failure.message).toBe('"nowhere.example" could not be found. Check the URL\'s host.');
  });

  test("a name that is never resolved", async () => {
    const client = await startClient({ resolve: () => new Promise(() => {}) });
    const start = performance.now();
    const failure = await failureOf(client.send(request("http://slow.example/", { timeoutMs: 50 })));
    expect(failure).toMatchObject({ reason: "TIMED_OUT", isDefinite: false });
    // Far less than the time after which a connection attempt is given up.
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe("an answer is read as it was meant", () => {
  test.each([
    ["gzip", gzipSync("text")],
    ["x-gzip", gzipSync("text")],
    ["GZIP", gzipSync("text")],
    ["identity, gzip", gzipSync("text")],
    ["deflate", deflateSync("text")],
    ["deflate", deflateRawSync("text")],
    ["br", brotliCompressSync("text")],
    ["zstd", zstdCompressSync("text")],
    ["identity", Buffer.from("text")],
    ["", Buffer.from("text")],
    ["utf-8", Buffer.from("text")],
  ])("a body in %j", async (encoding, body) => {
    const server = await serve((_request, response) => response.setHeader("content-encoding", encoding).end(body));
    const client = await startClient({ allow: `127.0.0.1:${server.port}` });
    const answer = await client.send(request(`http://127.0.0.1:${server.port}/`));
    expect(Buffer.from(answer.body).toString()).toBe("text");
    expect(server.requests[0]?.headers["accept-encoding"]).toBe("identity");
  });

  test.each(["HEAD", "GET"] as const)("an encoding of no body, after %s", async (method) => {
    const server = await serve((_request, response) => response.writeHead(200, { "content-encoding": "gzip" }).end());
    const client = await startClient({ allow: `127.0.0.1:${server.port}` });
    const answer = await client.send(request(`http://127.0.0.1:${server.port}/`, { method }));
    expect([answer.status, answer.body.length]).toEqual([200, 0]);
  });

  test.each([
    ["one", "HTTP/1.1 100 Continue\r\n\r\n"],
    ["one with a header, of HTTP/1.0", "HTTP/1.0 100 Go on\r\nx: y\r\n\r\n"],
    ["several, among others", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"],
  ])("100 Continue that nobody asked for: %s, in one piece and byte by byte", async (_case, interim) => {
    const text = `${interim.repeat(2)}HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\nHTTP/1.1 100 Continue`;
    const { send } = await calling((socket) => {
      let requests = 0;
      socket.setNoDelay(true).on("data", () => {
        requests += 1;
        if (requests === 1) {
          socket.write(text);
          return;
        }
        const bytes = text[Symbol.iterator]();
        const next = () => {
          const { done, value } = bytes.next();
          if (done !== true) {
            socket.write(value, () => setImmediate(next));
          }
        };
        next();
      });
    });
    for (let turn = 0; turn < 2; turn += 1) {
      expect(Buffer.from((await send()).body).toString()).toBe("HTTP/1.1 100 Continue");
    }
  });

  test("every status is an answer", async () => {
    for (const status of [200, 201, 204, 206, 304, 400, 404, 418, 429, 500, 503, 599, 999]) {
      const { send } = await calling(answering(`HTTP/1.1 ${status} X\r\ncontent-length: 0\r\n\r\n`));
      expect((await send()).status).toBe(status);
    }
  });

  test("headers are plain, whatever their names", async () => {
    const text =
      "HTTP/1.1 200 OK\r\n__proto__: a\r\nconstructor: b\r\nSet-Cookie: c\r\nset-cookie: d\r\nx: \xe9\r\n\r\n";
    const { send } = await calling(answering(Buffer.from(text, "latin1")));
    const { headers } = await send();
    expect(Object.entries(headers)).toEqual([
      ["__proto__", "a"],
      ["constructor", "b"],
      ["set-cookie", ["c", "d"]],
      ["x", "é"],
    ]);
    expect(Object.getPrototypeOf(headers)).toBe(Object.prototype);
  });
});
