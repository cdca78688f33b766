/*
 * The attackers, in a process of their own: `node attackers.ts`, told over its channel what to do. It gives way to
 * others, so that what is measured beside it is the server and not the machine.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { getPriority, setPriority } from "node:os";
import { Attacker, type AttackerOptions } from "./attacker.ts";
import { findAttack } from "./attacks.ts";

type Order = { readonly attack: string; readonly seconds: number; readonly attackers: readonly AttackerOptions[] };

export type Counts = Readonly<Record<string, number>>;

/** The count of the CPU's time that the attackers took. */
export const attackersCpu = "CPU ms of the attackers";

/** How much longer than it should an attack may take to end, before its process is killed. */
const lateMs = 5_000;

/** Runs an attack in a process of its own; answers what its attackers counted, and what CPU time it took. */
export async function runAttackers(order: Order): Promise<Counts> {
  const child: ChildProcess = fork(import.meta.filename, { execArgv: ["--max-old-space-size=6000"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), 1_000 * order.seconds + lateMs + 10_000);
  try {
    const exited = once(child, "exit").then(() => ({}));
    const told = once(child, "message").then(([counts]): Counts => counts);
    told.catch(() => undefined);
    child.send(order);
    return await Promise.race([told, exited]);
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}

/** Counts are added; of times and sizes the largest stays. */
export function sumOf(all: readonly Counts[]): Counts {
  const sum: Record<string, number> = {};
  for (const [name, count] of all.flatMap((counts) => Object.entries(counts))) {
    const before = sum[name] ?? 0;
    sum[name] = /(^| )ms$|reply bytes$/.test(name) ? Math.max(before, count) : before + count;
  }
  return sum;
}

async function obey({ attack, seconds, attackers }: Order): Promise<Counts> {
  const { run } = findAttack(attack);
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), 1_000 * seconds);
  const all = attackers.map((options) => new Attacker(options, over.signal));
  const failed: string[] = [];
  const running = Promise.all(
    all.map((attacker) => run(attacker).catch((error: unknown) => failed.push(String(error)))),
  );
  const isLate = new Promise((resolve) => setTimeout(resolve, 1_000 * seconds + lateMs));
  await Promise.race([running, isLate]);
  clearTimeout(timer);
  over.abort();
  const counts: Record<string, number> = { ...sumOf(all.map((attacker) => attacker.counts)) };
  for (const error of failed) {
    counts[error.slice(0, 100)] = (counts[error.slice(0, 100)] ?? 0) + 1;
  }
  const { user, system } = process.cpuUsage();
  return { ...counts, [attackersCpu]: Math.round((user + system) / 1_000) };
}

if (process.argv[1] === import.meta.filename) {
  setPriority(Math.min(19, getPriority() + 10));
  // What breaks off is what an attack is about.
  process.on("uncaughtException", () => undefined);
  process.on("unhandledRejection", () => undefined);
  process.once("message", async (order) => {
    // Sent by runAttackers.
    const counts = await obey(order as Order);
    process.send?.(counts);
  });
}
