import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Call, Lane } from "./load.ts";

const endOfHead = "\r\n\r\n";
const endOfChunks = "0\r\n\r\n";

/**
 * HTTP/1.1 by bare sockets, with the same bytes each time: a client library would cost more than the servers that are
 * measured. Reads as much of a reply as tells its status and its end.
 */
export async function callHttp(call: Call, connections: number): Promise<{ lanes: readonly Lane[]; close(): void }> {
  const { host, port, bytes } = requestOf(call);
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect({ host, port, noDelay: true });
      await once(socket, "connect");
      return socket;
    }),
  );
  return {
    lanes: sockets.map((socket) => laneOf(socket, bytes)),
    close: () => {
      for (const socket of sockets) {
        socket.destroy();
      }
    },
  };
}

function requestOf({ url, headers, body }: Call): { host: string; port: number; bytes: Buffer } {
  const { hostname, port, pathname, host } = new URL(url);
  const all = { host, "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const bytes = Buffer.from(`POST ${pathname} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
  return { host: hostname, port: Number(port), bytes };
}

function laneOf(socket: Socket, bytes: Buffer): Lane {
  let text = "";
  let settle: ((isGood: boolean) => void) | undefined;
  let isBroken = false;
  const end = (isGood: boolean) => {
    text = "";
    const resolve = settle;
    settle = undefined;
    resolve?.(isGood);
  };
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    text += chunk;
    if (isWhole(text)) {
      end(text.startsWith("2", "HTTP/1.1 ".length));
    }
  });
  const breakOff = () => {
    isBroken = true;
    end(false);
  };
  socket.on("error", breakOff).on("close", breakOff);
  return () => {
    if (isBroken) {
      return Promise.resolve(false);
    }
    socket.write(bytes);
    return new Promise((resolve) => {
      settle = resolve;
    });
  };
}

function isWhole(text: string): boolean {
  const end = text.indexOf(endOfHead);
  if (end < 0) {
    return false;
  }
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end + 2))?.[1];
  const bodyStart = end + endOfHead.length;
  return length === undefined ? text.endsWith(endOfChunks) : text.length >= bodyStart + Number(length);
}
