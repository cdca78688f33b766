import { randomInt, randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { sql } from "kysely";
import { readConfig } from "../../src/config.ts";
import { taskLoaders } from "../../src/engine/child/task-loaders.ts";
import { HttpClient } from "../../src/engine/http/http-client.ts";
import { ProcessPool } from "../../src/engine/pool/process-pool.ts";
import { TextBudget, textOf } from "../../src/engine/templates/text-budget.ts";
import { Capacity } from "../../src/scheduler/limits/capacity.ts";
import { Lease } from "../../src/scheduler/process/lease.ts";
import { RunClock } from "../../src/scheduler/run/run-clock.ts";
import { RunJournal } from "../../src/scheduler/run/run-journal.ts";
import type { Renewal } from "../../src/storage/claims/lease-store.ts";
import type { ChildStore } from "../../src/storage/executions/children.ts";
import type { ExecutionStore } from "../../src/storage/executions/execution-store.ts";
import type { Database } from "../../src/storage/postgres/database.ts";
import type { Stores } from "../../src/storage/stores.ts";
import { decorate, type Method } from "./decorate.ts";

/** Ways in which the service would be wrong: a suite that does not notice one of them proves nothing. */
export type Mutant =
  | "no-fence"
  | "ack-before-commit"
  | "no-checkpoint"
  | "sweep-off"
  | "notify-only"
  | "key-per-attempt"
  | "slots-in-order"
  | "journals-in-one"
  | "own-waits"
  | "own-leases"
  | "judges-at-once"
  | "seeds-by-chance"
  | "child-apart"
  | "outbox-apart"
  | "tasks-in-line"
  | "texts-without-end"
  | "caught-in-memory";

/** What a statement that reads a batch of journals could read in its time. */
const readableBytesMax = 32 * 1024 ** 2;

/** How long an execution is known by its id alone. */
const ackMs = 300;

/** Stores that are wrong in one way. */
export const mutations: Readonly<Record<Mutant, (stores: Stores, database: Database) => Stores>> = {
  // A process that has been overtaken does not learn of it, and writes all the same.
  "no-fence": (stores, database) => ({
    ...stores,
    executions: decorate(stores.executions, {
      listEnded: answering({ outcomes: new Map(), unread: [] }),
      append: (append) => async (entry) => {
        await append(entry);
        return true;
      },
      finish: (finish) => async (end) => {
        // What a caller of `finish` gives.
        const { executionId, outcome, epoch } = end as Parameters<ExecutionStore["finish"]>[0];
        if (await finish(end)) {
          return true;
        }
        const late = sql`update execution set state = ${outcome.state}, end_time = now(), finished_epoch = ${epoch}
          where id = ${executionId}`;
        await late.execute(database.db).catch(() => undefined);
        return true;
      },
    }),
  }),
  "ack-before-commit": (stores) => ({
    ...stores,
    executions: decorate(stores.executions, {
      begin:
        (begin) =>
        async (...args) => {
          void pause(ackMs).then(() => begin(...args));
        },
    }),
  }),
  "no-checkpoint": (stores) => ({
    ...stores,
    executions: decorate(stores.executions, { append: (append) => (entry) => append({ ...Object(entry), runs: [] }) }),
  }),
  "sweep-off": (stores) => ({
    ...stores,
    claims: decorate(stores.claims, { claim: answering([]) }),
  }),
  // What is not told is never found out, and what is told across processes was lost.
  "notify-only": (stores) => ({
    ...stores,
    executions: decorate(stores.executions, { listEnded: answering({ outcomes: new Map(), unread: [] }) }),
    events: decorate(stores.events, { read: answering([]) }),
  }),
  "key-per-attempt": (stores) => {
    // The service makes its client itself; this process is there for the mutant alone.
    const { send } = HttpClient.prototype;
    HttpClient.prototype.send = function (request) {
      const headers = request.headers.map(([name, value]): (typeof request.headers)[number] =>
        name === "Idempotency-Key" ? [name, `${value}:${randomUUID()}`] : [name, value],
      );
      return send.call(this, { ...request, headers });
    };
    return stores;
  },
  // Whoever comes first has the slots, each account one after the other, whosesoever it is.
  "slots-in-order": (stores) => {
    const { slots } = readConfig().limits;
    Capacity.prototype.hasSlot = function () {
      return this.running < slots;
    };
    Capacity.prototype.share = (accounts, free) => accounts.slice(0, free).map((account) => ({ ...account, count: 1 }));
    Object.defineProperty(Capacity.prototype, "full", {
      get: () => ({ accounts: [], environmentIds: [], organizationIds: [] }),
    });
    return stores;
  },
  // The journals of all that is due are read by one statement, for which one that is too large takes too long.
  "journals-in-one": (stores, database) => ({
    ...stores,
    claims: decorate(stores.claims, {
      claim: (claim) => async (claimer) => {
        const { rows } = await sql`
          select from execution_claim as claim where owner is null and due_time <= now()
             and (select sum(octet_length(entries)) from journal where journal.execution_id = claim.execution_id)
                 > ${readableBytesMax}`.execute(database.db);
        if (rows.length > 0) {
          throw new Error("canceling statement due to statement timeout");
        }
        return await claim(claimer);
      },
    }),
  }),
  // Waits end by the clock of whoever goes on with them.
  "own-waits": (stores) => {
    RunClock.prototype.now = () => Date.now();
    return stores;
  },
  // A child commits by itself, and only then what says whose it is. The process dies in between.
  "child-apart": (stores) => ({
    ...stores,
    children: decorate(stores.children, {
      begin: () => async (child) => {
        // What a caller of `begin` gives.
        const { execution, begin } = child as Parameters<ChildStore["begin"]>[0];
        await stores.executions.begin(execution, begin);
        process.kill(process.pid, "SIGKILL");
      },
    }),
  }),
  // An end commits without its delivery, and the process dies before that is written.
  "outbox-apart": (stores) => {
    stores.watchedEnvironments.mayHaveEndpoint = () => false;
    const dieAfter: (call: Method) => Method =
      (call) =>
      async (...args) => {
        await call(...args);
        process.kill(process.pid, "SIGKILL");
      };
    return { ...stores, executions: decorate(stores.executions, { recordFinished: dieAfter, finish: dieAfter }) };
  },
  // Leases end by their owners' clocks.
  "own-leases": (stores, database) => ({
    ...stores,
    leases: decorate(stores.leases, {
      renew: (renew) => async (renewal) => {
        const answer = await renew(renewal);
        // What a caller of `renew` gives.
        const { owner, ms } = renewal as Renewal;
        const expireTime = new Date(Date.now() + ms);
        await sql`update lease set expire_time = ${expireTime} where owner = ${owner}`.execute(database.db);
        return answer;
      },
    }),
  }),
  // What the database's clock says is believed at once, however far it is from what it said before.
  "judges-at-once": (stores, database) => {
    Lease.prototype.isSteady = function () {
      return this.isHeld();
    };
    return {
      ...stores,
      reaper: decorate(stores.reaper, {
        reap: (reap) => async (reaping) => {
          const { rows } = await sql`select extract(epoch from now())::float8 * 1000 as now`.execute(database.db);
          return await reap({ ...Object(reaping), ...Object(rows[0]) });
        },
      }),
    };
  },
  // A script draws other numbers each time that it runs.
  "seeds-by-chance": (stores) => {
    const { run } = ProcessPool.prototype;
    ProcessPool.prototype.run = function (this: ProcessPool, kind, task) {
      const request = () => {
        const { head, texts } = task.request();
        const seed = Array.from({ length: 4 }, () => randomInt(2 ** 31));
        return { head: { ...head, ...("seed" in head && { seed }) }, texts };
      };
      return run.call(this, kind, { ...task, request });
    } as typeof run;
    return stores;
  },
  // What authors wrote runs on the thread that holds the lease.
  "tasks-in-line": (stores) => {
    const { limits } = readConfig();
    ProcessPool.prototype.run = async (kind, { request, signal, onBegin }) => {
      signal.throwIfAborted();
      onBegin?.();
      const run = await taskLoaders[kind](limits);
      return { kind: "reply", ...(await run(request())) };
    };
    return stores;
  },
  // What a Try & Catch has decided is known to this process alone.
  "caught-in-memory": (stores) => {
    const { record } = RunJournal.prototype;
    RunJournal.prototype.record = function (run) {
      return run.path.endsWith("#caught") || record.call(this, run);
    };
    return stores;
  },
  // A text with templates is put together first, and measured then.
  "texts-without-end": (stores) => {
    TextBudget.prototype.take = (text) => text;
    TextBudget.prototype.takeValue = textOf;
    return stores;
  },
};

function answering(answer: unknown): () => Method {
  return () => async () => answer;
}
