import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { ScriptEngine } from "../../../src/engine/code/script-engine.ts";
import { seedWords } from "../../../src/engine/query/functions/seeded-random.ts";
import { putWorkflow } from "../../support/flowcall.ts";
import { askResponse, execute } from "../calls.ts";
import type { FaultCase, FaultFigures, FaultRun } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { TestBed } from "../test-bed.ts";
import { until } from "../until.ts";

/** How soon a child ends that is in the middle of a script when its process dies. */
const orphansMs = 10_000;

/** Takes about half a second, and draws what is another number each time if nothing makes it the same. */
const code = `function yourFunction() {
  let sum = 0;
  for (let i = 0; i < 5e6; i += 1) sum = (sum + i) % 1000003;
  return [sum, Math.random(), crypto.randomUUID()];
}`;

const definition = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", code: { code }, settings: { timeout_ms: 60_000 } },
    { id: "3", response: { data: "{{node.2.body}}" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3" },
  ],
};

export const killedScripts: FaultCase = {
  id: "B12",
  title: "a process is killed in the middle of scripts: another runs them, and they give what they would have given",
  run: async (run) => {
    const figures = await killAmongScripts(run);
    if (run.size === "full") {
      await assert.rejects(killAmongScripts(run, { mutant: "seeds-by-chance" }), /gives what it would have given/);
      run.say("seeds-by-chance is caught");
    }
    return figures;
  },
};

async function killAmongScripts({ postgres, size }: FaultRun, composition: object = {}): Promise<FaultFigures> {
  const bed = await TestBed.start({
    database: await postgres.createExampleDatabase(),
    processes: 2,
    program: ["test/faults/composed-server.ts", JSON.stringify(composition)],
  });
  try {
    const { url, pid } = bed.server(0);
    await putWorkflow(url, { alias: "scripts", definition });
    const count = size === "full" ? 12 : 2;
    const replies = await Promise.all(Array.from({ length: count }, () => execute(url, { workflow: "scripts" })));
    const ids = replies.map(({ id }) => id);
    const unfinished = () => bed.count("execution_claim");
    await until("the first script to have ended", async () => (await unfinished()) < count);
    const left = await unfinished();
    assert.ok(left > 0, "all scripts had ended before the process was killed");
    const children = await scriptChildrenOf(pid);
    assert.ok(children.length > 0, "no child ran a script");
    await bed.kill(0);
    const orphansEndMs = await until("the children to have ended", async () => {
      const there = await readdir("/proc");
      return !children.some((child) => there.includes(child));
    });
    assert.ok(orphansEndMs < orphansMs, `a child outlived its process by ${orphansEndMs} ms`);
    const drainMs = await until("the end of all", async () => (await unfinished()) === 0);

    const states = await checkLedger(bed.query, ids);
    assert.deepEqual(new Set(states.values()), new Set(["COMPLETED"]));
    const engine = await ScriptEngine.create();
    for (const id of ids) {
      const { json } = await askResponse(bed.server(1).url, id);
      const seed = seedWords(`${id}\n2`);
      const { outcome } = engine.run({ code, params: "{}", now: 0, seed, timeoutMs: 60_000 });
      const text = outcome.kind === "output" ? outcome.text : outcome.kind;
      assert.equal(JSON.stringify(json["response"]), text, "a script gives what it would have given");
    }
    return {
      executions: ids.length,
      kills: 1,
      lost: 0,
      doubleResults: 0,
      killedUnfinished: left,
      orphansEndMs,
      drainMs,
    };
  } finally {
    await bed.stop();
  }
}

/** The ids of the processes in which a process runs scripts. */
async function scriptChildrenOf(pid: number): Promise<readonly string[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    ids.map(async (id) => {
      const command = await readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "");
      return command.endsWith(`\0${pid}\0code\0`) ? id : [];
    }),
  );
  return found.flat();
}
