import http from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { usageOf } from "./processes.ts";
import type { Target } from "./server.ts";

const lookMs = 100;
const leaseLookMs = 200;
const probeMs = 100;
const curveMs = 10_000;
/** How long a probe waits for its answer. */
const patienceMs = 60_000;

export type CurvePoint = {
  readonly seconds: number;
  readonly heapMiB: number | undefined;
  readonly rssMiB: number;
  readonly postgresMiB: number;
  readonly children: number;
};

/** What was seen of a server in a stretch of time. */
export type Watch = {
  rssPeakBytes: number;
  postgresPeakBytes: number;
  childrenPeak: number;
  /** The least that was left of its lease, in milliseconds by the database's clock. */
  leaseLeastMs: number;
  /** The longest time that `/healthz` took. */
  healthzMs: number;
};

/** Looks at a server all the time: its memory, its lease in the database, and whether its event loop turns. */
export class Watcher {
  watch: Watch = newWatch();
  readonly curve: CurvePoint[] = [];
  readonly #server: Target;
  readonly #rssMaxBytes: number;
  readonly #startTime = performance.now();
  readonly #watching: Promise<unknown>;
  #isStopped = false;
  /** Whether it took more than the machine can spare, and was killed for it. */
  isKilled = false;

  constructor(server: Target, { rssMaxBytes }: { readonly rssMaxBytes: number }) {
    this.#server = server;
    this.#rssMaxBytes = rssMaxBytes;
    this.#watching = Promise.all([this.#lookAtMemory(), this.#lookAtLease(), this.#probe(), this.#draw()]);
  }

  /** Begins a new stretch of time. */
  turn(): Watch {
    const { watch } = this;
    this.watch = newWatch();
    return watch;
  }

  cpuMs(): number {
    return usageOf(this.#server.rootPid).cpuMs;
  }

  rssBytes(): number {
    return usageOf(this.#server.rootPid).rssBytes;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#watching;
  }

  get #goesOn(): boolean {
    return !this.#isStopped && this.#server.isAlive();
  }

  async #lookAtMemory(): Promise<void> {
    while (this.#goesOn) {
      const { rssBytes, postgresBytes, children } = usageOf(this.#server.rootPid);
      const { watch } = this;
      watch.rssPeakBytes = Math.max(watch.rssPeakBytes, rssBytes);
      watch.postgresPeakBytes = Math.max(watch.postgresPeakBytes, postgresBytes);
      watch.childrenPeak = Math.max(watch.childrenPeak, children);
      if (rssBytes > this.#rssMaxBytes) {
        this.isKilled = true;
        this.#server.kill();
      }
      await pause(lookMs);
    }
  }

  async #lookAtLease(): Promise<void> {
    const client = new pg.Client(this.#server.connection);
    client.on("error", () => undefined);
    try {
      await client.connect();
      while (this.#goesOn) {
        const { rows } = await client.query(
          "select coalesce(max(extract(epoch from expire_time - clock_timestamp())) * 1000, 0)::int as left from lease",
        );
        this.watch.leaseLeastMs = Math.min(this.watch.leaseLeastMs, Number(rows[0]?.left));
        await pause(leaseLookMs);
      }
    } catch (error) {
      // The database ends with a server that is killed.
      if (this.#goesOn) {
        process.stderr.write(`the lease cannot be looked at: ${error}\n`);
      }
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** By the clock, and not by the answers. */
  async #probe(): Promise<void> {
    const probes = new Set<Promise<void>>();
    while (this.#goesOn) {
      // One that waits long says all that a hundred of them would.
      if (probes.size < 20) {
        const probe: Promise<void> = this.#askHealth().finally(() => probes.delete(probe));
        probes.add(probe);
      }
      await pause(probeMs);
    }
  }

  async #askHealth(): Promise<void> {
    const startTime = performance.now();
    const { watch } = this;
    await new Promise<void>((resolve) => {
      const request = http.get(`${this.#server.url}/healthz`, { agent: false, timeout: patienceMs }, (response) => {
        response.resume().on("close", resolve);
      });
      request.on("timeout", () => request.destroy()).on("error", () => resolve());
    });
    watch.healthzMs = Math.max(watch.healthzMs, performance.now() - startTime);
  }

  async #draw(): Promise<void> {
    while (this.#goesOn) {
      const { rssBytes, postgresBytes, children } = usageOf(this.#server.rootPid);
      const heapBytes = await this.#server.heapBytes();
      this.curve.push({
        seconds: Math.round((performance.now() - this.#startTime) / 1_000),
        heapMiB: heapBytes === undefined ? undefined : mebibytes(heapBytes),
        rssMiB: mebibytes(rssBytes),
        postgresMiB: mebibytes(postgresBytes),
        children,
      });
      for (let waited = 0; waited < curveMs && this.#goesOn; waited += lookMs) {
        await pause(lookMs);
      }
    }
  }
}

export function mebibytes(bytes: number): number {
  return Math.round(bytes / 1024 ** 2);
}

function newWatch(): Watch {
  return {
    rssPeakBytes: 0,
    postgresPeakBytes: 0,
    childrenPeak: 0,
    leaseLeastMs: Number.POSITIVE_INFINITY,
    healthzMs: 0,
  };
}
