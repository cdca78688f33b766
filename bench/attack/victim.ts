import http from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import type { JsonValue } from "@bufbuild/protobuf";
import { publishLine, type Tenant } from "./tenants.ts";

/** The victim's callers go away after this: a call without an answer is lost. */
const patienceMs = 20_000;
const callEveryMs = 100;
const callsUnderWay = 10;
const delaysUnderWay = 5;
const watchEveryMs = 1_000;

type Reply = { readonly status: number; readonly json: { readonly [name: string]: JsonValue | undefined } };

/** What the victim saw in a stretch of time. */
export type Sight = {
  /** The times of its synchronous calls that were answered with their value, in milliseconds. */
  readonly times: number[];
  readonly lost: string[];
  readonly refused: string[];
  /** When each of these was answered, by `performance.now()`. */
  readonly answerTimes: number[];
  /** How many of its calls are still under way. */
  underWay: number;
};

/**
 * An organisation that does nothing wrong: it makes one synchronous call of Start → Transform → Response every 100 ms,
 * keeps 20 executions with an HTTP call of a second under way, half of which may be sent at most once, and some with a
 * Delay of two seconds, and looks at the events of one now and then.
 */
export class Victim {
  readonly tenant: Tenant;
  sight: Sight = newSight();
  /** The ids of all that was accepted of its executions with HTTP calls and Delays. */
  readonly ids: string[] = [];
  readonly #upstream: string;
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #stopped = new AbortController();
  readonly #working: Promise<unknown>[] = [];

  constructor(tenant: Tenant, upstream: string) {
    this.tenant = tenant;
    this.#upstream = upstream;
  }

  async start(): Promise<void> {
    await publishLine(this.tenant, "simple", [
      { transform: { query: '{ "greeting": "Hello " & name }' } },
      { response: { data: "{{node.2.body}}" } },
    ]);
    const call = { method: "POST", url: "{{event.body.url}}", json: "{}" };
    for (const [alias, delivery] of Object.entries({ once: "AT_MOST_ONCE", again: "AT_LEAST_ONCE" })) {
      await publishLine(this.tenant, alias, [{ http: call, settings: { delivery } }]);
    }
    await publishLine(this.tenant, "later", [{ delay: { seconds: "2" } }]);
    await Promise.all(Array.from({ length: 20 }, () => this.#call("simple", { isSync: true })));
    this.sight = newSight();
    this.#working.push(this.#callOn());
    for (let index = 0; index < callsUnderWay; index += 1) {
      this.#working.push(this.#keepUnderWay("once"), this.#keepUnderWay("again"));
    }
    for (let index = 0; index < delaysUnderWay; index += 1) {
      this.#working.push(this.#keepUnderWay("later"));
    }
    this.#working.push(this.#watchOn());
  }

  /** Begins a new stretch of time. What is under way is told to the one that it began in. */
  turn(): Sight {
    const { sight } = this;
    this.sight = newSight();
    return sight;
  }

  /** Settles when all calls of some stretches of time have ended, or else counts those that go on as lost. */
  async settled(sights: readonly Sight[], withinMs: number): Promise<readonly Sight[]> {
    const startTime = performance.now();
    while (sights.some(({ underWay }) => underWay > 0) && performance.now() - startTime < withinMs) {
      await pause(50);
    }
    return sights.map((sight) => {
      const open = Array.from({ length: sight.underWay }, () => "no answer yet");
      // What is left unanswered by a stop comes too late to count.
      return { ...sight, lost: [...sight.lost, ...open], refused: [...sight.refused] };
    });
  }

  /** Makes no more calls, and leaves those that are under way. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#agent.destroy();
    await Promise.all(this.#working);
  }

  get #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  /** By the clock, and not by the replies. */
  async #callOn(): Promise<void> {
    const calls: Promise<void>[] = [];
    const startTime = performance.now();
    for (let turn = 0; !this.#isStopped; turn += 1) {
      calls.push(this.#callSimple());
      await pause(Math.max(0, startTime + turn * callEveryMs - performance.now()));
    }
    await Promise.all(calls);
  }

  async #callSimple(): Promise<void> {
    const { sight } = this;
    const startTime = performance.now();
    sight.underWay += 1;
    try {
      const { status, json } = await this.#call("simple", { isSync: true });
      if (status === 200 && "return_value" in json) {
        sight.times.push(performance.now() - startTime);
        sight.answerTimes.push(performance.now());
      } else if (status === 429 || status === 503) {
        sight.refused.push(`${status} ${JSON.stringify(json).slice(0, 300)}`);
      } else {
        sight.lost.push(`${status} ${JSON.stringify(json).slice(0, 300)}`);
      }
    } catch (error) {
      sight.lost.push(String(error));
    }
    sight.underWay -= 1;
  }

  async #keepUnderWay(workflow: string): Promise<void> {
    // Not all in one moment.
    await pause(Math.random() * 1_000);
    while (!this.#isStopped) {
      const { sight } = this;
      try {
        const { status, json } = await this.#call(workflow, { isSync: false });
        if (status === 200) {
          const id = String(json["execution_id"]);
          this.ids.push(id);
          await this.#untilEnded(id);
          continue;
        }
        sight.refused.push(`${workflow}: ${status} ${JSON.stringify(json).slice(0, 300)}`);
      } catch {
        // Whether it was accepted is not known, and `simple` tells how calls fare.
      }
      await pause(500);
    }
  }

  async #untilEnded(id: string): Promise<void> {
    while (!this.#isStopped) {
      const { json } = await this.#send("GET", `/api/v1/execution/${id}/response?wait=10`, {}, undefined);
      if (json["status"] !== "RUNNING") {
        return;
      }
    }
  }

  async #watchOn(): Promise<void> {
    while (!this.#isStopped) {
      await pause(watchEveryMs);
      const id = this.ids.at(-1);
      if (id === undefined) {
        continue;
      }
      const { sight } = this;
      const status = await this.#send("GET", `/api/v1/execution/${id}/events`, {}, undefined).then(
        (reply) => reply.status,
        () => undefined,
      );
      if (status === 429 || status === 503) {
        sight.refused.push(`events: ${status}`);
      }
    }
  }

  async #call(workflow: string, { isSync }: { readonly isSync: boolean }): Promise<Reply> {
    return await this.#send(
      "POST",
      `/api/v1/workflow/${workflow}/execute`,
      {
        "content-type": "application/json",
        sync_execution: String(isSync),
      },
      JSON.stringify({ name: "Jane", url: this.#upstream }),
    );
  }

  async #send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string | undefined,
  ): Promise<Reply> {
    const { url, key, account } = this.tenant;
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    // A connection that is left has no further request.
    if (this.#isStopped) {
      throw new Error("the victim has stopped");
    }
    const request = http.request(`${url}${path}`, {
      method,
      agent: this.#agent,
      headers: { "x-api-key": key, linked_account_id: account, ...headers },
    });
    const timer = setTimeout(() => request.destroy(new Error(`no answer in ${patienceMs} ms`)), patienceMs);
    request.on("error", reject).on("response", async (response) => {
      try {
        const text = Buffer.concat(await response.toArray()).toString();
        const isJson = response.headers["content-type"]?.includes("json") === true;
        resolve({ status: response.statusCode ?? 0, json: isJson ? JSON.parse(text) : {} });
      } catch (error) {
        reject(error);
      }
    });
    request.end(body);
    return await promise.finally(() => clearTimeout(timer));
  }
}

function newSight(): Sight {
  return { times: [], lost: [], refused: [], answerTimes: [], underWay: 0 };
}
