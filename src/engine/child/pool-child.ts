// The entry of a child process of the pool: it does one task after the other, and ends with the process that began it.
//
// It has nothing but a channel, file descriptor 3: no environment, no other descriptors, no output. While a task holds its
// thread it hears nothing, so a second thread looks whether the parent lives, and ends the process where it does not.

import { flushCompileCache } from "node:module";
import { Socket } from "node:net";
import { Worker } from "node:worker_threads";
import type { Limits } from "../../domain/limits.ts";
import { encodeFrame, FrameReader } from "../pool/frame.ts";
import { type RunTask, type TaskKind, type TaskRequest, taskLoaders } from "../pool/tasks.ts";

/** Longer than any request: the service bounds what it sends. */
const frameBytesMax = 1024 ** 3;

const [, , limitsText = "{}", parentPid = "0"] = process.argv;
// Written by `child.ts`, from the service's limits.
const limits = JSON.parse(limitsText) as Limits;
const channel = new Socket({ fd: 3, readable: true, writable: true });
const reader = new FrameReader(frameBytesMax);
const loaded = new Map<TaskKind, RunTask<TaskKind>>();

new Worker(
  `const { workerData: parent } = require("node:worker_threads");
   setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, "SIGKILL"); }, 500);`,
  {
    eval: true,
    workerData: Number(parentPid),
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 },
  },
);
channel.on("data", (chunk: Buffer) => {
  // Requests are the parent's own.
  for (const { head, texts } of reader.push(chunk)) void answer({ head, texts } as Request);
});
channel.on("close", () => process.exit());
channel.on("error", () => process.exit());
await load("query");
send({ kind: "ready" }, []);

type Request = TaskRequest<TaskKind> & { readonly head: { readonly task: TaskKind } };

async function answer({ head: { task, ...head }, texts }: Request): Promise<void> {
  try {
    let run = loaded.get(task);
    if (run === undefined) {
      run = await load(task);
      send({ kind: "loaded" }, []);
    }
    // The head is of the kind that it names.
    const reply = await run({ head, texts } as TaskRequest<TaskKind>);
    send({ kind: "reply", reply: reply.head }, reply.texts);
  } catch (error) {
    send({ kind: "fault", stack: placesOf(error) }, []);
  }
}

async function load(task: TaskKind): Promise<RunTask<TaskKind>> {
  // Each loader gives what runs its own kind.
  const run = (await taskLoaders[task](limits)) as RunTask<TaskKind>;
  loaded.set(task, run);
  // At its end a child is killed, and would leave nothing for the next.
  flushCompileCache();
  return run;
}

function send(head: object, texts: readonly string[]): void {
  channel.write(encodeFrame({ head: { ...head, rssBytes: process.memoryUsage.rss() }, texts }));
}

/** Where a fault of ours was thrown. Its message may hold data, which is not for logs. */
function placesOf(error: unknown): string {
  if (!(error instanceof Error)) return "something was thrown that is no Error";
  const places = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return [error.name, ...places].join("\n").slice(0, 2_000);
}
