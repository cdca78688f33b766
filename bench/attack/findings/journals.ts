// Findings 9, 10 (RetryNode) and 24: executions whose journals are far too large. They are written by SQL, at once.

import type { Attack, Stage } from "../attack.ts";
import { callApi, publish } from "../tenants.ts";
import { groupOf } from "./memory.ts";

const recordsCount = 3_500;
const query = "{{event.body.s}} & $string({{node.G.body.iteration_count}})";

/** 3.5 GB, as they would be after a version without a bound, or with a larger one. */
async function growJournal({ query: run, scale }: Stage, id: string): Promise<void> {
  await run(
    `insert into journal (execution_id, environment_id, flush_index, epoch, entries)
     select id, environment_id, 1000 + number, 1, format(
       '[{"path":"G[%s]/T","node_id":"T","state":"SUCCESS","attempts":1,"start_time":1795992221340,"end_time":1795992221359,"output":"\\"%s\\""}]',
       number, repeat('x', 1000000))
       from execution, generate_series(10, $2::int) as number where id = $1`,
    [id, Math.ceil(scale * recordsCount) + 9],
  );
}

async function acceptOne(stage: Stage, alias: string, behind: Parameters<typeof groupOf>[2]): Promise<string> {
  const { tenant } = stage;
  await publish(tenant, alias, groupOf(3, query, behind));
  const { execution_id } = await callApi(
    tenant,
    "POST",
    `/api/v1/workflow/${alias}/execute`,
    { s: "x" },
    {
      linked_account_id: tenant.account,
      prefer: "wait=1",
    },
  );
  return String(execution_id);
}

/** One that waits for an hour, and holds its journal meanwhile. */
async function waiting(stage: Stage, alias: string): Promise<string> {
  const id = await acceptOne(stage, alias, [{ delay: { seconds: "3600" } }]);
  // It sleeps, and nobody owns it, once its wait is committed.
  for (let isAsleep = false; !isAsleep; ) {
    const rows = await stage.query("select from execution_claim where execution_id = $1 and owner is null", [id]);
    isAsleep = rows.length === 1;
  }
  await growJournal(stage, id);
  return id;
}

async function failed(stage: Stage, alias: string): Promise<string> {
  const id = await acceptOne(stage, alias, [{ transform: { query: '$error("always")' } }]);
  for (let hasEnded = false; !hasEnded; ) {
    const rows = await stage.query("select from execution where id = $1 and state is not null", [id]);
    hasEnded = rows.length === 1;
  }
  await growJournal(stage, id);
  return id;
}

const nextAlias = (alias: string) => `${alias}-${Math.random().toString(36).slice(2)}`;

export const journals: readonly Attack[] = [
  {
    id: "9",
    title: "a journal of 3.5 GB that is due",
    prepare: async (stage) => {
      const ids: string[] = [];
      for (let index = 0; index < stage.attackers; index += 1) {
        ids.push(await waiting(stage, nextAlias("due")));
      }
      return { ids };
    },
    run: async (attacker) => {
      // Whoever attacks has waited until it was due; the harness makes it so.
      attacker.count("due");
      await attacker.untilOver();
    },
    begin: async ({ query: run }, { ids }) => {
      await run("update execution_claim set due_time = now() where execution_id = any($1)", [ids]);
    },
  },
  {
    id: "10c",
    title: "RetryNode of an ended execution with 3.5 GB, 2 at a time",
    prepare: async (stage) => ({ id: await failed(stage, nextAlias("retried")) }),
    run: (attacker) =>
      attacker.repeat(2, async () => {
        const path = `/api/v1/execution/${attacker.options.given["id"]}/node/B0/retry`;
        attacker.most("ms", (await attacker.send({ path })).ms);
      }),
  },
  {
    id: "24",
    title: "GetExecution, its node runs, iterations and events, and StopExecution, of one with 3.5 GB",
    prepare: async (stage) => {
      const ids: string[] = [];
      for (let index = 0; index < stage.attackers; index += 1) {
        ids.push(await waiting(stage, nextAlias("read")));
      }
      return { ids };
    },
    run: async (attacker) => {
      const { given, index } = attacker.options;
      const id = Object(given["ids"])[index];
      const paths = ["", "", "", "/node/T", "/node/G/iteration", "/events"];
      const stop = async () => {
        await attacker.pause(8_000);
        const { ms } = await attacker.send({ path: `/api/v1/execution/${id}/stop`, body: "{}" });
        attacker.most("stop ms", ms);
      };
      void stop().catch(() => attacker.count("stop failed"));
      await attacker.repeat(paths.length, async (lane) => {
        const path = `/api/v1/execution/${id}${paths[lane]}`;
        attacker.most(`${paths[lane]} ms`, (await attacker.send({ method: "GET", path })).ms);
      });
    },
  },
];
