import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { JsonObject } from "@bufbuild/protobuf";

/** One request of a workflow. */
export type Request = {
  /** Its Idempotency-Key. */
  readonly key: string;
  readonly body: JsonObject;
  readonly timeMs: number;
};

/** Answers a request, or leaves it without an answer. */
export type Answer = (response: ServerResponse, request: Request) => void;

export const answerOk: Answer = (response) => {
  response.writeHead(200, { "content-type": "application/json" }).end("{}");
};

/** Leaves the caller waiting. */
export const neverAnswer: Answer = () => undefined;

/** An API for workflows to call that answers as a case wants it. */
export class Upstream {
  readonly requests: Request[] = [];
  /** How it answers from now on. */
  answer: Answer;
  readonly #server: Server;
  readonly #held = new Set<ServerResponse>();

  private constructor(answer: Answer) {
    this.answer = answer;
    this.#server = createServer(async (request, response) => {
      const timeMs = performance.now();
      this.#held.add(response);
      response.on("error", () => undefined).once("close", () => this.#held.delete(response));
      try {
        const text = Buffer.concat(await request.toArray()).toString();
        const sent: Request = {
          key: String(request.headers["idempotency-key"]),
          body: JSON.parse(text || "{}"),
          timeMs,
        };
        this.requests.push(sent);
        this.answer(response, sent);
      } catch {
        // Who asked has died in the middle of it.
      }
    });
  }

  static async start(answer: Answer = answerOk): Promise<Upstream> {
    const upstream = new Upstream(answer);
    upstream.#server.listen(0, "127.0.0.1");
    await once(upstream.#server, "listening");
    return upstream;
  }

  get url(): string {
    // A server that listens on a port has an AddressInfo, which the type cannot know.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** How many callers wait for their answer. */
  get waiting(): number {
    return this.#held.size;
  }

  /** Answers all who wait, and all who come from now on. */
  letGo(answer: Answer = answerOk): void {
    this.answer = answer;
    for (const response of this.#held) {
      answerOk(response, { key: "", body: {}, timeMs: 0 });
    }
  }

  /** How often each Idempotency-Key has come. */
  countByKey(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { key } of this.requests) {
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}
