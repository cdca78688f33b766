import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { putWorkflow, testKey } from "../../support/flowcall.ts";
import { execute } from "../calls.ts";
import type { Composition } from "../composed-server.ts";
import type { Failpoint } from "../failpoint.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";
import { answerOk, Upstream } from "../upstream.ts";

/** Two calls side by side, each with a Response behind it, and behind that another call. */
const racing = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    ...["a", "b", "more-a", "more-b"].map((id) => ({ id, http: { method: "POST", url: "{{event.body.url}}" } })),
    { id: "first", response: { data: '{"by": "a"}', status_code: 201 } },
    { id: "second", response: { data: '{"by": "b"}' } },
  ],
  edges: [
    ...["a", "b"].map((target) => ({ source: "1", target })),
    { source: "a", target: "first" },
    { source: "first", target: "more-a" },
    { source: "b", target: "second" },
    { source: "second", target: "more-b" },
  ],
};

/** Around the flush that holds the Response of the execution: it is written before the call behind that. */
const moments: readonly Failpoint["moment"][] = ["before", "during", "after"];

/**
 * In its first life the branch of `a` is answered and sets the response; the process is killed where that is written. In
 * the second life the branch of `b` comes first. What was not written then nobody has seen, and what was stays.
 */
export const racingResponses: FaultCase = {
  id: "B14",
  title: "a process is killed between a Response and its flush, and another Response is first afterwards",
  run: async (run) => {
    const bed = await TestBed.start({ database: await run.postgres.createExampleDatabase(), processes: 2 });
    const upstream = await Upstream.start();
    try {
      await putWorkflow(bed.server(1).url, { alias: "racing", definition: racing });
      await bed.end(0, "SIGKILL");
      const answers: string[] = [];
      let reads = 0;
      for (const moment of moments) {
        const trial = await runTrial(bed, upstream, moment);
        answers.push(`${moment}: ${trial.answer}`);
        reads += trial.reads;
      }
      assert.match(answers[0] ?? "", /"b"/, "what was not written was not there");
      assert.match(answers[2] ?? "", /"a"/, "what was written stays");
      return {
        executions: moments.length,
        kills: moments.length,
        reads,
        doubleResults: 0,
        answers: answers.join(", "),
      };
    } finally {
      upstream.letGo();
      await upstream.stop();
      await bed.stop();
    }
  },
};

async function runTrial(bed: TestBed, upstream: Upstream, moment: Failpoint["moment"]) {
  const composition: Composition = { failpoint: { store: "executions", method: "append", moment, having: "answer" } };
  const server = await bed.startServer(0, {}, ["test/faults/composed-server.ts", JSON.stringify(composition)]);
  const died = new Promise((resolve) => server.child.once("exit", resolve));
  server.child.send("arm");
  let lives = 1;
  upstream.answer = (response, { key }) => {
    const isFirst = key.includes(":a:") && lives === 1;
    if (isFirst || (key.includes(":b:") && lives === 2)) {
      answerOk(response, { key, body: {}, timeMs: 0 });
    }
  };
  const { id } = await execute(server.url, { workflow: "racing", payload: { url: upstream.url } });
  const readers = new ResponseReader(bed, id);
  await died;
  // It has killed itself, and the bed is to know.
  await bed.end(0, "SIGKILL").catch(() => undefined);
  lives = 2;
  await until("the response of the second life", () => readers.values.size > 0);
  upstream.letGo();
  await until("the end", async () => (await bed.count(`execution where id = '${id}' and state is null`)) === 0);
  await readers.stop();
  assert.deepEqual(readers.contradictions, []);
  const [answer = "", ...others] = readers.values;
  assert.deepEqual(others, [], "nobody reads a second value");
  const states = await checkLedger(bed.query, [id]);
  assert.equal(states.get(id), "COMPLETED");
  return { answer, reads: readers.reads };
}

/** Reads one execution again and again, in both ways, at whichever process is there. */
class ResponseReader {
  /** The responses that were read, as JSON. */
  readonly values = new Set<string>();
  /** What was read behind something else. */
  readonly contradictions: string[] = [];
  reads = 0;
  readonly #bed: TestBed;
  readonly #id: string;
  readonly #reading: Promise<unknown>;
  #isStopped = false;

  constructor(bed: TestBed, id: string) {
    this.#bed = bed;
    this.#id = id;
    this.#reading = Promise.all(["", "/response"].map((path) => this.#readOn(path)));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#reading;
  }

  async #readOn(path: string): Promise<void> {
    for (let isLast = false; !isLast; ) {
      isLast = this.#isStopped;
      // A process that is not there tells nothing.
      for (const url of this.#bed.urls) {
        await this.#read(`${url}/api/v1/execution/${this.#id}${path}`).catch(() => undefined);
      }
      await pause(5);
    }
  }

  async #read(url: string): Promise<void> {
    const isKnown = this.values.size > 0;
    const headers = { "x-api-key": testKey, linked_account_id: "john@acme.io" };
    const reply = await fetch(url, { headers, signal: AbortSignal.timeout(3_000) });
    if (!reply.ok) {
      return;
    }
    // The body of either call has the member.
    const { response = null } = (await reply.json()) as { response?: unknown };
    this.reads += 1;
    if (response !== null) {
      this.values.add(JSON.stringify(response));
    } else if (isKnown) {
      this.contradictions.push(`${url}: null, after ${[...this.values]}`);
    }
  }
}
