import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { signalAll } from "../attack/server.ts";
import type { Call } from "./load.ts";

export type Kind = "sync" | "async" | "grpc";

/** A service that is compared. */
export type Target = {
  readonly name: string;
  /** What is measured of it, in words: version, settings, what is durable when it answers. */
  readonly about: string;
  readonly calls: Partial<Record<Kind, Call>>;
  /** The process that all others of the service descend from, its Postgres included. */
  readonly rootPid: number;
  /** How many accepted executions have not ended; absent where nothing is accepted before it has ended. */
  readonly pending?: () => Promise<number>;
  /** The size of the database in bytes. */
  readonly databaseBytes?: () => Promise<number>;
  /** Sends a statement to the database; answers its rows. */
  readonly query?: (statement: string) => Promise<readonly Record<string, unknown>[]>;
  stop(): Promise<void>;
};

/** The page's own example. */
export const payload = JSON.stringify({
  "Task Name": "Sample task",
  Created_at: "2024-2-1",
  Assigned_to: "John Doe",
});

/** Settles when a service answers. Fails when its process ends before that. */
export async function untilReady(child: ChildProcess, isReady: () => Promise<boolean>): Promise<void> {
  let ended: unknown;
  void once(child, "exit").then(([code, signal]) => {
    ended = signal ?? code;
  });
  for (const endTime = performance.now() + 60_000; performance.now() < endTime; ) {
    if (await isReady().catch(() => false)) {
      return;
    }
    if (ended !== undefined) {
      throw new Error(`${child.spawnfile} ended with ${ended} before it was ready`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${child.spawnfile} was not ready within a minute`);
}

/** Ends a process and its group. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const exited = once(child, "exit");
  signalAll(child, "SIGTERM");
  const timer = setTimeout(() => signalAll(child, "SIGKILL"), 10_000);
  await exited;
  clearTimeout(timer);
}
