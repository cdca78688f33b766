import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ExecutionService } from "../../../src/gen/flowcall/v1/execution_pb.ts";
import { testKey } from "../../support/flowcall.ts";
import { freePort } from "../../support/free-port.ts";
import { isNginxLeftOut, startNginx } from "../../support/nginx.ts";
import type { Composition } from "../composed-server.ts";
import { endure, type Stage } from "../endure.ts";
import type { FaultCase } from "../fault-case.ts";

/**
 * A connection that comes between the last look at a port and its end is reset by the kernel, with the request on it. That
 * is a moment, unless the process has to wait for a processor just then, as it may beside other tests.
 */
const failedShareMax = 0.01;

const earlier = ["src/main.ts"];
const later = ["test/faults/composed-server.ts", JSON.stringify({ isLater: true } satisfies Composition)];

/**
 * Two processes are replaced one after the other, behind nginx as `docs/nginx.conf` sets it up. In the middle a later
 * version migrates while an earlier one runs, and an earlier one starts again on the tables of the later.
 */
export const rollingRestart: FaultCase = {
  id: "A12",
  besides: 0,
  title: "rolling restarts behind nginx, of two versions, with a migration in the middle",
  run: async (run) => {
    const [calls, restarts] = run.size === "full" ? [4_000, 10] : [60, 2];
    const ports = [await freePort(), await freePort()];
    const [first = "", second = ""] = ports.map((port) => `127.0.0.1:${port}`);
    if (isNginxLeftOut) {
      run.say("nginx is not there: callers take the processes by turns themselves");
    }
    const nginx = isNginxLeftOut ? undefined : await startNginx([first, second]);
    const callers = nginx && new BareCallers(nginx.url);
    try {
      const middle = Math.floor(restarts / 2) - 1;
      const figures = await endure(run, {
        database: await run.postgres.createExampleDatabase(),
        processes: 2,
        ports,
        ...(nginx !== undefined && { urls: [nginx.url] }),
        calls,
        clients: 8,
        planned: restarts,
        faults: async (stage) => {
          callers?.start();
          for (let index = 0; index < restarts; index += 1) {
            await stage.turn(index);
            // The first to migrate is followed by one that does not know of it, and so on.
            const isLater = index >= middle && (index - middle) % 3 !== 1;
            await restart(stage, index % 2, isLater ? later : earlier);
          }
          await callers?.stop();
        },
      });
      if (callers === undefined) {
        return figures;
      }
      const failedMax = run.size === "full" ? 0 : callers.calls * failedShareMax;
      assert.ok(callers.failed.length <= failedMax, `${callers.failed.join("\n")}\n${nginx?.log.join("")}`);
      return { ...figures, bareCalls: callers.calls, bareRefused: callers.refused, bareFailed: callers.failed.length };
    } finally {
      await callers?.stop();
      await nginx?.stop();
    }
  },
};

async function restart({ bed, happened }: Stage, index: number, program: readonly string[]): Promise<void> {
  assert.equal(await bed.end(index, "SIGTERM"), 0);
  await happened();
  await bed.startServer(index, {}, program);
}

const account = "john@acme.io";

/**
 * Callers without a key, whose calls nobody may repeat for them. What they call is not there, so that nothing begins; on
 * its way such a call meets all that another does.
 */
class BareCallers {
  calls = 0;
  /** How many were told to try again. */
  refused = 0;
  /** What else they were told: a 502, say, of which nobody knows whether it had begun. */
  readonly failed: unknown[] = [];
  readonly #url: string;
  #calling: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor(url: string) {
    this.#url = url;
  }

  start(): void {
    const client = createClient(ExecutionService, createGrpcTransport({ baseUrl: this.#url }));
    const calls = [...Array.from({ length: 4 }, () => () => this.#call()), () => this.#callGrpc(client)];
    this.#calling = Promise.all(calls.map((call) => this.#repeat(call)));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#calling;
  }

  async #repeat(call: () => Promise<void>): Promise<void> {
    while (!this.#isStopped) {
      this.calls += 1;
      await call();
      await pause(5);
    }
  }

  async #call(): Promise<void> {
    const reply = await fetch(`${this.#url}/api/v1/workflow/nowhere/execute`, {
      method: "POST",
      headers: { "x-api-key": testKey, linked_account_id: account },
    });
    const text = await reply.text();
    if (reply.status === 503 && reply.headers.get("retry-after") !== null) {
      this.refused += 1;
    } else if (reply.status !== 404) {
      this.failed.push(`${reply.status} ${text}`);
    }
  }

  async #callGrpc(client: Client<typeof ExecutionService>): Promise<void> {
    const headers = { "x-api-key": testKey };
    const error = await client.executeWorkflow({ workflow: "nowhere", linkedAccountId: account }, { headers }).then(
      () => undefined,
      (reason: unknown) => ConnectError.from(reason),
    );
    if (error?.code === Code.Unavailable) {
      this.refused += 1;
    } else if (error?.code !== Code.NotFound) {
      this.failed.push(`gRPC: ${error}`);
    }
  }
}
