import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** All calls under one Idempotency-Key. */
export type SinkCalls = {
  /** When each of them came, in milliseconds since 1970. */
  readonly times: number[];
  /** What the first was answered, and all after it are. */
  readonly value: string;
};

/**
 * An API for workflows to call: it keeps the account of calls by key. What it answers to a key is drawn at the key's
 * first call, so that a result that comes of another call shows.
 */
export class Sink {
  readonly calls = new Map<string, SinkCalls>();
  /** How long it takes for an answer. */
  answerMs = 10;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<Sink> {
    const server = createServer((request, response) => {
      const key = String(request.headers["idempotency-key"]);
      const calls = sink.calls.get(key) ?? { times: [], value: randomUUID() };
      sink.calls.set(key, calls);
      calls.times.push(Date.now());
      request.resume();
      // Who asked may be dead by then.
      response.on("error", () => undefined);
      void pause(sink.answerMs).then(() =>
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ value: calls.value })),
      );
    });
    const sink = new Sink(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return sink;
  }

  get url(): string {
    // A server that listens on a port has an AddressInfo, which the type cannot know.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  get total(): number {
    return [...this.calls.values()].reduce((sum, { times }) => sum + times.length, 0);
  }

  /** How many calls of the node with this path came after a time. */
  countSince(path: string, time: number): number {
    const all = [...this.calls].flatMap(([key, { times }]) => (key.split(":")[1] === path ? times : []));
    return all.filter((sent) => sent > time).length;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}
