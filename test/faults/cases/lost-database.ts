import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { TestPostgres } from "../../support/postgres.ts";
import { AppBed } from "../app-bed.ts";
import { assertWithin } from "../bound.ts";
import { isReady, putBusyTask } from "../calls.ts";
import { Clients } from "../clients.ts";
import type { FaultCase, FaultFigures, FaultRun } from "../fault-case.ts";
import { Line } from "../line.ts";
import { startOwnPostgres } from "../own-postgres.ts";
import { checkReplies } from "../replies.ts";
import { until } from "../until.ts";

const callers = 10;

/** Bounds in milliseconds: until it says that it is not ready, of the slowest reply, until it is ready again and ends work. */
type Bounds = { readonly unready: number; readonly reply: number; readonly ready: number; readonly first: number };

type Loss = { begin(): Promise<void>; end(): Promise<void> };

export const databaseDown: FaultCase = {
  id: "B1",
  title: "Postgres is stopped, and then refuses connections, for 30 s",
  run: async (run) => {
    const bounds = { unready: 2_000, reply: 5_000, ready: 3_000, first: 5_000 };
    const own = await startOwnPostgres();
    const lossMs = run.size === "full" ? 30_000 : 1_000;
    try {
      const stopped = await lose(run, own, { lossMs, bounds, loss: () => ({ begin: own.suspend, end: own.resume }) });
      const cut = await lose(run, run.postgres, { lossMs, bounds, loss: (line) => setLine(line, "cut") });
      return { ...stopped, ...prefixed("refusing", cut) };
    } finally {
      await own.stop();
    }
  },
};

export const databaseSilent: FaultCase = {
  id: "B2",
  title: "the line to Postgres swallows what is sent, and then the answers, for 20 s, and resets nothing",
  run: async (run) => {
    const bounds = { unready: 15_000, reply: 15_000, ready: 5_000, first: 10_000 };
    const lossMs = run.size === "full" ? 20_000 : 0;
    const silent = await lose(run, run.postgres, { lossMs, bounds, loss: (line) => setLine(line, "silent") });
    const deaf = await lose(run, run.postgres, { lossMs, bounds, loss: (line) => setLine(line, "deaf") });
    return { ...silent, ...prefixed("deaf", deaf) };
  },
};

function setLine(line: Line, state: "cut" | "silent" | "deaf"): Loss {
  return { begin: () => line.set(state), end: () => line.set("open") };
}

function prefixed(prefix: string, figures: FaultFigures): FaultFigures {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${prefix}.${name}`, value]));
}

type LossOptions = {
  readonly lossMs: number;
  readonly bounds: Bounds;
  readonly loss: (line: Line) => Loss;
};

/** Callers go on while the database is lost: they are refused at once, nothing accepted is lost, and it goes on after. */
async function lose(
  run: FaultRun,
  postgres: TestPostgres,
  { lossMs, bounds, loss }: LossOptions,
): Promise<FaultFigures> {
  const database = await postgres.createExampleDatabase();
  const line = new Line(database.connection);
  await line.set("open");
  const databaseUrl = `postgres://${database.connection.user}@127.0.0.1:${line.port}/${database.connection.database}`;
  try {
    return await AppBed.with({ database, databaseUrl }, async (bed, url) => {
      await putBusyTask(url);
      const clients = new Clients(url, callers);
      try {
        const figures = await measure(run, { url, clients, lossMs, bounds, ...loss(line) });
        await clients.stop();
        const drainMs = await until("the end of all", () => bed.hasDrained());
        return { executions: await checkReplies(bed.query, clients), lost: 0, doubleResults: 0, ...figures, drainMs };
      } finally {
        clients.leave();
        await line.set("open");
      }
    });
  } finally {
    await line.set("cut");
  }
}

type Measured = Omit<LossOptions, "loss"> & Loss & { readonly url: string; readonly clients: Clients };

async function measure(run: FaultRun, { url, clients, lossMs, bounds, begin, end }: Measured): Promise<FaultFigures> {
  await until("calls that are accepted", () => clients.ids.size >= 50);
  const lostTime = performance.now();
  await begin();
  const unreadyMs = await until("that it is not ready", async () => !(await isReady(url)));
  assert.equal((await fetch(`${url}/healthz`)).status, 200, "the process lives on");
  // The loss lasts until each client has had its answer to what was under way, and has been refused since.
  const since = performance.now();
  await until("refusals", () => clients.replies.filter(({ sentTime }) => sentTime > since).length > 3 * callers);
  await pause(lossMs);
  assert.equal(await isReady(url), false);
  assert.equal((await fetch(`${url}/healthz`)).status, 200, "the process lives on");
  const during = clients.replies.filter(({ sentTime, ms }) => sentTime + ms > lostTime);
  const slowestReplyMs = Math.max(...during.map(({ ms }) => ms));
  const refused = during.filter(({ status }) => status === 503).length;
  assert.ok(refused > 0, "no call was refused");
  assert.deepEqual(
    clients.replies.filter(({ sentTime, status }) => sentTime > since && status !== 503),
    [],
    "what was sent to a service without its database is refused",
  );

  await end();
  const backTime = performance.now();
  const readyMs = await until("that it is ready again", () => isReady(url));
  await until("a call that is done", () => clients.completedSince(backTime).length > 0);
  const firstCompletionMs = performance.now() - backTime;
  await until("as many as before", () => clients.completedSince(backTime).length >= 2 * callers);
  const recoveryMs = performance.now() - backTime;
  assertWithin(run, unreadyMs, bounds.unready, "until it said that it was not ready, it");
  assertWithin(run, slowestReplyMs, bounds.reply, "a reply");
  assertWithin(run, readyMs, bounds.ready, "until it was ready again, it");
  assertWithin(run, firstCompletionMs, bounds.first, "the first execution to end");
  return { refused, unreadyMs, slowestReplyMs, readyMs, firstCompletionMs, recoveryMs };
}
