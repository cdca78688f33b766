import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

export type AttackerOptions = {
  readonly url: string;
  /** Where it comes from, of the loopback. */
  readonly address: string;
  readonly index: number;
  /** With all scopes, of the environments test and production. */
  readonly key: string;
  readonly productionKey: string;
  /** Restricted to one workflow and one account. */
  readonly readKey: string;
  readonly account: string;
  /** What the attack's preparation answered. */
  readonly given: JsonObject;
};

export type AttackerRequest = {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly key?: string;
};

export type AttackerReply = { readonly status: number; readonly text: string; readonly ms: number };

/** Who attacks: an address of its own, keys, and ways to send. It counts what it does and what it is answered. */
export class Attacker {
  readonly options: AttackerOptions;
  readonly signal: AbortSignal;
  readonly counts: Record<string, number> = {};
  readonly #agent: http.Agent;
  readonly #port: number;

  constructor(options: AttackerOptions, signal: AbortSignal) {
    this.options = options;
    this.signal = signal;
    this.#agent = new http.Agent({ keepAlive: true });
    this.#port = Number(new URL(options.url).port);
  }

  get isOver(): boolean {
    return this.signal.aborted;
  }

  count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }

  /** Keeps the largest of such values. */
  most(what: string, value: number): void {
    this.counts[what] = Math.max(this.counts[what] ?? 0, Math.round(value));
  }

  /** Settles when the attack is over. */
  async untilOver(): Promise<void> {
    await this.pause(24 * 3_600_000);
  }

  async pause(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.signal }).catch(() => undefined);
  }

  /** Does something again and again, in so many lanes, until the attack is over. */
  async repeat(lanes: number, piece: (lane: number, turn: number) => Promise<unknown>): Promise<void> {
    const lane = async (index: number) => {
      for (let turn = 0; !this.isOver; turn += 1) {
        // Where the server is gone, or cut the connection, there is no use in haste.
        await piece(index, turn).catch(async () => {
          if (!this.isOver) {
            this.count("failed");
          }
          await this.pause(50);
        });
      }
    };
    await Promise.all(Array.from({ length: lanes }, (_, index) => lane(index)));
  }

  /** Sends one request over HTTP/1.1, and counts the status that it is answered. */
  async send({ method = "POST", path, headers = {}, body, key = this.options.key }: AttackerRequest) {
    const startTime = performance.now();
    const { promise, resolve, reject } = Promise.withResolvers<AttackerReply>();
    const { address, account, url } = this.options;
    const request = http.request(`${url}${path}`, {
      method,
      agent: this.#agent,
      localAddress: address,
      signal: this.signal,
      headers: { "x-api-key": key, linked_account_id: account, "content-type": "application/json", ...headers },
    });
    request.on("error", reject).on("response", async (response) => {
      try {
        const text = Buffer.concat(await response.toArray()).toString();
        resolve({ status: response.statusCode ?? 0, text, ms: performance.now() - startTime });
      } catch (error) {
        reject(error);
      }
    });
    request.end(body);
    const reply = await promise;
    this.count(`${reply.status} ${reasonOf(reply)}`.trim());
    return reply;
  }

  /** Calls a workflow, and answers its reply. */
  async call(workflow: string, payload: JsonValue, headers: Readonly<Record<string, string>> = {}) {
    return await this.callText(workflow, JSON.stringify(payload), headers);
  }

  async callText(workflow: string, body: string, headers: Readonly<Record<string, string>> = {}) {
    return await this.send({ path: `/api/v1/workflow/${workflow}/execute`, body, headers });
  }

  async callSync(workflow: string, payload: JsonValue) {
    return await this.call(workflow, payload, { sync_execution: "true" });
  }

  /** A connection of TCP. What ends it is no fault of the attack. */
  connect(): net.Socket {
    const socket = net.connect({ host: "127.0.0.1", port: this.#port, localAddress: this.options.address });
    socket.on("error", () => this.count("connection failed"));
    this.signal.addEventListener("abort", () => socket.destroy(), { once: true });
    return socket;
  }

  /** A connection of HTTP/2 that takes whatever it is sent. */
  connectHttp2(): http2.ClientHttp2Session {
    const session = http2.connect(this.options.url, {
      createConnection: () => this.connect(),
      settings: { initialWindowSize: 2 ** 30, enablePush: false },
      maxSessionMemory: 4_000,
    });
    session.on("error", () => this.count("session failed"));
    session.once("connect", () => session.setLocalWindowSize(2 ** 30));
    return session;
  }

  /** Opens a stream of gRPC; nothing that comes of it is a fault of the attack. */
  openStream(session: http2.ClientHttp2Session, path: string, headers: Readonly<Record<string, string>> = {}) {
    const stream = session.request(
      {
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      },
      { endStream: false },
    );
    stream.on("error", () => this.count("stream failed"));
    stream.once("response", (head) => {
      this.count(`stream ${head[":status"]}`);
      // A refusal without a message has no trailers of its own (Trailers-Only).
      if (head["grpc-status"] !== undefined) {
        this.count(`grpc ${head["grpc-status"]}`);
      }
    });
    stream.once("trailers", (trailers) => this.count(`grpc ${trailers["grpc-status"]}`));
    return stream;
  }
}

/** A message of gRPC behind its head. */
export function grpcFrame(message: Uint8Array, announced = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(announced, 1);
  return Buffer.concat([head, message]);
}

/** A field of protobuf that holds a text or bytes. */
export function lengthField(number: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  const length: number[] = [];
  for (let left = bytes.length; ; left >>>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) {
      break;
    }
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}

function reasonOf({ status, text }: AttackerReply): string {
  if (status < 400) {
    return "";
  }
  return /"(?:error_code|reason)":\s*"([A-Z_]+)"/.exec(text)?.[1] ?? "";
}
