import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { sql } from "kysely";
import { readConfig } from "../../src/config.ts";
import { HttpClient } from "../../src/engine/http/http-client.ts";
import { Load } from "../../src/scheduler/load.ts";
import type { Database } from "../../src/storage/database.ts";
import type { ExecutionStore } from "../../src/storage/execution-store.ts";
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
  | "journals-in-one";

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
        if (await finish(end)) return true;
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
    executions: decorate(stores.executions, { claim: answering([]) }),
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
    Load.prototype.hasSlot = function () {
      return this.running < slots;
    };
    Load.prototype.share = (accounts, free) => accounts.slice(0, free).map((account) => ({ ...account, count: 1 }));
    Object.defineProperty(Load.prototype, "full", {
      get: () => ({ accounts: [], environmentIds: [], organizationIds: [] }),
    });
    return stores;
  },
  // The journals of all that is due are read by one statement, for which one that is too large takes too long.
  "journals-in-one": (stores, database) => ({
    ...stores,
    executions: decorate(stores.executions, {
      claim: (claim) => async (claimer) => {
        const { rows } = await sql`
          select from execution_claim as claim where owner is null and due_time <= now()
             and (select sum(octet_length(entries)) from journal where journal.execution_id = claim.execution_id)
                 > ${readableBytesMax}`.execute(database.db);
        if (rows.length > 0) throw new Error("canceling statement due to statement timeout");
        return await claim(claimer);
      },
    }),
  }),
};

function answering(answer: unknown): () => Method {
  return () => async () => answer;
}
