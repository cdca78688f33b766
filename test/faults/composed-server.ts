/**
 * The service in a process of its own, with stores that fail or are wrong: `node composed-server.ts <Composition as JSON>`.
 * It says on its channel who it is and which of its writes came too late, and is told there when to arm and when to stop.
 */
import { flushCompileCache } from "node:module";
import { sql } from "kysely";
import { pino } from "pino";
import { App } from "../../src/app.ts";
import { readConfig } from "../../src/config.ts";
import type { Limits } from "../../src/domain/limits.ts";
import type { ServerLimits } from "../../src/server/limits/server-limits.ts";
import { type MigrationsFor, migrationsFor } from "../../src/storage/migrations/migrations.ts";
import { openStores, type Stores } from "../../src/storage/stores.ts";
import { decorate, type Method } from "./decorate.ts";
import { type Failpoint, withFailpoint } from "./failpoint.ts";
import { type Mutant, mutations } from "./mutants.ts";

export type Composition = {
  /** Where the process kills itself. */
  readonly failpoint?: Failpoint;
  /** Whether it stops there instead, and goes on where it is continued. */
  readonly isStopped?: boolean;
  /** For how long it does nothing else there, where it neither dies nor stops. */
  readonly blockedMs?: number;
  readonly mutant?: Mutant;
  /** Bounds in place of its own. */
  readonly limits?: Partial<Limits>;
  readonly serverLimits?: Partial<ServerLimits>;
  /** Whether it is of a later version, whose migration others have not. */
  readonly isLater?: boolean;
};

export type Said =
  | { readonly kind: "owner"; readonly owner: string }
  | { readonly kind: "fenced"; readonly method: string }
  | { readonly kind: "armed" }
  /** It stops in the next moment. */
  | { readonly kind: "stops" };

/** What a later version may add while this one runs: columns that it does not know, and an index on its largest table. */
const laterMigrations: MigrationsFor = (done) => ({
  ...migrationsFor(done),
  "9999-later": {
    up: async (db) => {
      await sql`alter table execution add column later text`.execute(db);
      await sql`alter table execution_claim add column later int not null default 0`.execute(db);
      await sql`alter table lease add column later timestamptz not null default now()`.execute(db);
      await sql`create index execution_later on execution (later) where later is not null`.execute(db);
    },
  },
});

const [text = "{}"] = process.argv.slice(2);
// Written by the case that starts this process.
const { failpoint, isStopped = false, blockedMs, mutant, isLater = false, ...bounds } = JSON.parse(text) as Composition;
const config = readConfig();
let arm = () => {};

const app = new App({
  config: {
    ...config,
    limits: { ...config.limits, ...bounds.limits },
    serverLimits: { ...config.serverLimits, ...bounds.serverLimits },
  },
  log: pino({ level: process.env["TEST_LOG"] ?? "silent" }),
  ...(isLater && { migrations: laterMigrations }),
  open: (database) => {
    const opened = telling(openStores(database));
    const stores = mutant === undefined ? opened : mutations[mutant](opened, database);
    if (failpoint === undefined) {
      return stores;
    }
    const failing = withFailpoint(stores, failpoint, isStopped ? standStill : blockedMs === undefined ? die : block);
    arm = failing.arm;
    return failing.stores;
  },
});
process.on("message", (message) => {
  if (message === "arm") {
    arm();
    say({ kind: "armed" });
  } else {
    stop();
  }
});
process.once("SIGTERM", stop);
await app.start();
// Most of these processes are killed, and would leave nothing for the next one.
flushCompileCache();

function stop(): void {
  void app.stop().then(() => process.exit());
}

function die(): Promise<never> {
  process.kill(process.pid, "SIGKILL");
  return new Promise<never>(() => undefined);
}

/** As a node does that computes on the thread of all. */
async function block(): Promise<void> {
  const said: Said = { kind: "stops" };
  await new Promise((resolve) => process.send?.(said, resolve));
  // The same to the event loop, and spares the machine what others need of it.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockedMs);
}

async function standStill(): Promise<void> {
  const said: Said = { kind: "stops" };
  // Unsaid, it would be said when it is over.
  await new Promise((resolve) => process.send?.(said, resolve));
  process.kill(process.pid, "SIGSTOP");
}

function say(said: Said): void {
  process.send?.(said);
}

function telling(stores: Stores): Stores {
  let isKnown = false;
  const fenced =
    (method: string) =>
    (call: Method): Method =>
    async (...args) => {
      const answer = await call(...args);
      if (answer === false) {
        say({ kind: "fenced", method });
      }
      return answer;
    };
  const renew =
    (call: Method): Method =>
    async (...args) => {
      if (!isKnown) {
        say({ kind: "owner", owner: Object(args[0])["owner"] });
      }
      isKnown = true;
      return await call(...args);
    };
  return {
    ...stores,
    executions: decorate(stores.executions, {
      append: fenced("append"),
      finish: fenced("finish"),
    }),
    claims: decorate(stores.claims, { suspend: fenced("suspend") }),
    leases: decorate(stores.leases, { renew }),
  };
}
