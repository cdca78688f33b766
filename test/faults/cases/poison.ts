import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { putWorkflow } from "../../support/flowcall.ts";
import { askResponse, execute } from "../calls.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

const innocents = 47;
const claimsMax = 6;

/** What fails for good, each with its reason. */
const hopeless: Readonly<Record<string, string>> = {
  EXPRESSION_ERROR: '$error("always")',
  OUTPUT_INVALID: '"a\\u0000b"',
};

export const poison: FaultCase = {
  id: "B6",
  title: `an execution kills each process that runs it, beside ${innocents} that do not`,
  run: async ({ postgres, say }) => {
    const bed = await TestBed.start({
      database: await postgres.createExampleDatabase(),
      processes: 2,
      program: [join(import.meta.dirname, "../poison-server.ts")],
    });
    const supervisor = new Supervisor(bed);
    try {
      const { url } = bed.server(0);
      await putWorkflow(url, { alias: "poison", definition: graphOf({ http: call }, "poison") });
      for (const [reason, query] of Object.entries(hopeless)) {
        await putWorkflow(url, { alias: reason, definition: graphOf({ transform: { query } }, "last") });
      }
      // So long that what runs beside it is lost with the process.
      bed.sink.answerMs = 2_000;
      const payload = { url: bed.sink.url, data: {} };
      const ids = await Promise.all(
        Array.from({ length: innocents }, async () => (await execute(url, { workflow: "call-http", payload })).id),
      );
      // Called before the poison, which may end this process before it has answered another call.
      const others = await Promise.all(
        Object.keys(hopeless).map(async (reason) => ({ reason, ...(await execute(url, { workflow: reason })) })),
      );
      bed.sink.answerMs = 500;
      const startTime = performance.now();
      const { id } = await execute(url, { workflow: "poison", payload });
      const poisonOf = (execution: string) => bed.count(`execution where id = '${execution}' and state = 'ERRORED'`);
      await until("the end of the poison", async () => (await poisonOf(id)) === 1);
      const poisonMs = performance.now() - startTime;
      say(`it has ended after ${supervisor.deaths} deaths`);
      const drainMs = await until("the end of all", async () => (await bed.count("execution_claim")) === 0);
      await supervisor.stop();

      const states = await checkLedger((statement) => bed.database.query(statement), [...ids, id]);
      assert.deepEqual(
        ids.filter((each) => states.get(each) !== "COMPLETED"),
        [],
        "what ran beside it completes",
      );
      for (const { reason, id: failed } of others) {
        const { json } = await askResponse(bed.server(0).url, failed);
        assert.deepEqual([json["status"], Object(json["error"]).reason], ["ERRORED", reason]);
      }
      const claims = bed.sink.calls.get(`${id}:poison:0`)?.times.length ?? 0;
      assert.ok(claims > 1 && supervisor.deaths >= claims, `it killed nobody: ${claims} calls`);
      assert.ok(claims <= claimsMax, `it was claimed ${claims} times`);
      const { json } = await askResponse(bed.server(0).url, id);
      return {
        ...{ executions: states.size, kills: supervisor.deaths, lost: 0, doubleResults: 0, innocentsErrored: 0 },
        ...{ claims, poisonMs, drainMs, reason: String(Object(json["error"]).reason) },
      };
    } finally {
      await supervisor.stop();
      await bed.stop();
    }
  },
};

const call = { method: "POST", url: "{{event.body.url}}", json: "{}" };

function graphOf(node: JsonObject, id: string): JsonObject {
  return {
    nodes: [
      { id: "1", start: { api_call: {} } },
      { id, ...node },
    ],
    edges: [{ source: "1", target: id }],
  };
}

/** Starts processes again that have died, as whoever runs the service does. */
class Supervisor {
  deaths = 0;
  readonly #bed: TestBed;
  readonly #watching: Promise<unknown>;
  #isStopping = false;

  constructor(bed: TestBed) {
    this.#bed = bed;
    this.#watching = Promise.all(bed.servers.map((_, index) => this.#watch(index)));
  }

  /** Settles when all processes run, and are started no more. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.race([this.#watching, until("all processes to run", () => this.#areAllThere())]);
  }

  #areAllThere(): boolean {
    return this.#bed.servers.every((server) => server?.child.exitCode === null && server.child.signalCode === null);
  }

  async #watch(index: number): Promise<void> {
    for (let server = this.#bed.server(index); ; ) {
      await once(server.child, "exit");
      if (this.#isStopping) {
        return;
      }
      this.deaths += 1;
      // It may die before it is ready, and again.
      for (;;) {
        try {
          server = await this.#bed.startServer(index);
          break;
        } catch {
          this.deaths += 1;
        }
      }
    }
  }
}
