import assert from "node:assert/strict";
import { putWorkflow } from "../../support/flowcall.ts";
import { askResponse, execute } from "../calls.ts";
import type { Composition } from "../composed-server.ts";
import type { FaultCase, FaultRun } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import type { Mutant } from "../mutants.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";
import { type Answer, answerOk, neverAnswer, Upstream } from "../upstream.ts";

/** How the call behind `try` fails: by its answer, or by the time-out of the Try & Catch. */
const ways = ["answers", "hangs"] as const;

/** When the process is killed: while the calls of a side are under way. */
const sides = ["try", "catch"] as const;

type Trial = { readonly way: (typeof ways)[number]; readonly side: (typeof sides)[number]; readonly mutant?: Mutant };

/** Long enough for all calls behind `try` to begin, and for a process to start. */
const timeoutMs = 4_000;

export const caughtOnce: FaultCase = {
  id: "A16",
  title: "a process is killed while the nodes behind try, and behind catch, are at work",
  run: async (run) => {
    const all = ways.flatMap((way) => sides.map((side) => ({ way, side })));
    // A sample has one of them, drawn by its seed.
    const first = Math.floor(run.random() * all.length);
    const trials = run.size === "full" ? all : all.slice(first, first + 1);
    let executions = 0;
    for (const trial of trials) {
      executions += await killIn(run, trial);
      run.say(`killed while what is behind ${trial.side} was at work, and the call behind try ${trial.way}`);
    }
    if (run.size === "full") {
      const wrong = killIn(run, { way: "hangs", side: "catch", mutant: "caught-in-memory" });
      await assert.rejects(wrong, assert.AssertionError, "a decision that was not recorded is not noticed");
    }
    return { executions, kills: trials.length, lost: 0, doubleResults: 0 };
  },
};

/** Kills the process when as many calls of a side are under way as there are executions, and checks what became of them. */
async function killIn({ size, postgres }: FaultRun, { way, side, mutant }: Trial): Promise<number> {
  const count = size === "full" ? 20 : 4;
  const composition: Composition = mutant === undefined ? {} : { mutant };
  const upstream = await Upstream.start();
  const bed = await TestBed.start({
    database: await postgres.createExampleDatabase(),
    processes: 1,
    program: ["test/faults/composed-server.ts", JSON.stringify(composition)],
  });
  try {
    const refuse: Answer = (response) => void response.writeHead(422).end('{"why": "no"}');
    const fail = way === "answers" ? refuse : neverAnswer;
    // What is to be interrupted waits.
    upstream.answer = (response, request) => {
      const held = request.body["side"] === side ? neverAnswer : request.body["side"] === "try" ? fail : answerOk;
      held(response, request);
    };
    await putTryCatch(bed.server(0).url, upstream.url);
    const calls = Array.from({ length: count }, async () =>
      execute(bed.server(0).url, { workflow: "guarded", payload: {} }),
    );
    const ids = (await Promise.all(calls)).map(({ id }) => String(id));
    const sent = () => upstream.requests.filter(({ body }) => body["side"] === side);
    await until("the calls of all to be under way", () => sent().length === count, { everyMs: 5 });
    await bed.kill(0);
    upstream.answer = (response, request) => (request.body["side"] === "try" ? fail : answerOk)(response, request);
    await bed.startServer(0);
    const { url } = bed.server(0);
    const replies = await Promise.all(ids.map((id) => askResponse(url, id, { wait: 60 })));
    const expected = { failed: way === "answers" ? "call" : "guard", how: "Catch flow completed successfully" };
    for (const { json } of replies) {
      assert.deepEqual([json["status"], json["response"]], ["COMPLETED", expected]);
    }
    checkRequests(upstream, ids);
    return (await checkLedger(bed.query, ids)).size;
  } finally {
    await bed.stop();
    await upstream.stop();
  }
}

/** Each execution has one key for each side, and behind `try` nothing is sent once something behind `catch` was. */
function checkRequests(upstream: Upstream, ids: readonly string[]): void {
  for (const id of ids) {
    const own = upstream.requests.filter(({ key }) => key.startsWith(`${id}:`));
    const inCatch = own.findIndex(({ body }) => body["side"] === "catch");
    assert.ok(inCatch > 0, `${id}: the catch ran, after the try`);
    assert.deepEqual(new Set(own.slice(inCatch).map(({ body }) => body["side"])), new Set(["catch"]), id);
    assert.equal(new Set(own.map(({ key }) => key)).size, 2, id);
  }
}

async function putTryCatch(url: string, upstream: string): Promise<void> {
  const call = (id: string, side: string) => ({
    id,
    group_id: "guard",
    http: { method: "POST", url: upstream, json: JSON.stringify({ side }) },
  });
  const nodes = [
    { id: "1", start: { api_call: {} } },
    { id: "guard", settings: { timeout_ms: timeoutMs }, try_catch: {} },
    call("call", "try"),
    call("told", "catch"),
    {
      id: "4",
      response: { data: '{ "failed": {{node.guard.body.failed_node_id}}, "how": {{node.guard.body.message}} }' },
    },
  ];
  const edges = [
    { source: "1", target: "guard" },
    { source: "guard", target: "call", port: "try" },
    { source: "guard", target: "told", port: "catch" },
    { source: "guard", target: "4" },
  ];
  await putWorkflow(url, { alias: "guarded", definition: { nodes, edges } });
}
