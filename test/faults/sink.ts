import { once } from "node:events";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { SinkCall, SinkStart } from "./sink-server.ts";

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
 *
 * It serves in a thread of its own. Node accepts one connection in a turn of its loop, so in the thread of a busy case a
 * call that came over a new connection, of a process that was killed since, was seen after the call of the next owner.
 */
export class Sink {
  readonly url: string;
  readonly #worker: Worker;
  readonly #calls = new Map<string, SinkCalls>();
  readonly #told: MessagePort;
  readonly #answerMs: Int32Array;

  private constructor(url: string, worker: Worker, told: MessagePort, answerMs: Int32Array) {
    this.url = url;
    this.#worker = worker;
    this.#told = told;
    this.#answerMs = answerMs;
  }

  static async start(): Promise<Sink> {
    const answerMs = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const { port1: told, port2: tells } = new MessageChannel();
    const workerData: SinkStart = { answerMs, tells };
    const worker = new Worker(new URL("sink-server.ts", import.meta.url), { workerData, transferList: [tells] });
    // The first that the server says is where it listens.
    const [url]: string[] = await once(worker, "message");
    const sink = new Sink(url ?? "", worker, told, answerMs);
    sink.answerMs = 10;
    return sink;
  }

  /** All calls that have come by now. */
  get calls(): ReadonlyMap<string, SinkCalls> {
    for (let told = receiveMessageOnPort(this.#told); told !== undefined; told = receiveMessageOnPort(this.#told)) {
      // Said by the server alone.
      const { key, time, value } = told.message as SinkCall;
      const calls = this.#calls.get(key) ?? { times: [], value };
      this.#calls.set(key, calls);
      calls.times.push(time);
    }
    return this.#calls;
  }

  /** How long it takes for an answer, in milliseconds, from the next call on. */
  get answerMs(): number {
    return Atomics.load(this.#answerMs, 0);
  }

  set answerMs(ms: number) {
    Atomics.store(this.#answerMs, 0, ms);
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
    await this.#worker.terminate();
    this.#told.close();
  }
}
