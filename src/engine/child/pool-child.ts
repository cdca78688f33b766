// The main file of a child process of the pool. It runs one task after another, and ends with the process that started it.
//
// - Its only channel is file descriptor 3: it has no environment, no other descriptors and no output.
// - It keeps nothing of a task, so the pool may kill it at any time.
// - A task blocks the main thread, so a worker thread watches the parent and kills the process when the parent has died.

import { Socket } from "node:net";
import { Worker } from "node:worker_threads";
import type { Limits } from "../../domain/limits.ts";
import { encodeFrame, FrameReader } from "../pool/frame.ts";
import type { RunTask, TaskKind, TaskRequest } from "../pool/tasks.ts";
import { loadTask } from "./task-loaders.ts";

/** Longer than any request, whose size the service limits. */
const frameBytesMax = 1024 ** 3;

/** How many replies of a child for scripts come between two looks at its memory. */
const framesPerLook = 8;
let sent = 0;
let rssBytes = 0;

const [, , limitsText = "{}", parentPid = "0", firstKind = "query"] = process.argv;
// `child-process.ts` wrote the text from the service's limits.
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
  // Only the parent writes to the channel.
  for (const { head, texts } of reader.push(chunk)) {
    void answer({ head, texts } as Request);
  }
});
channel.on("close", () => process.exit());
channel.on("error", () => process.exit());
// `child-process.ts` names a kind.
loaded.set(firstKind as TaskKind, await loadTask(firstKind as TaskKind, limits));
send({ kind: "ready" }, []);

type Request = TaskRequest<TaskKind> & { readonly head: { readonly task: TaskKind } };

async function answer({ head: { task, ...head }, texts }: Request): Promise<void> {
  try {
    let run = loaded.get(task);
    if (run === undefined) {
      run = await loadTask(task, limits);
      loaded.set(task, run);
      send({ kind: "loaded" }, []);
    }
    // The head belongs to the kind that it names.
    const reply = await run({ head, texts } as TaskRequest<TaskKind>);
    send({ kind: "reply", reply: reply.head }, reply.texts);
  } catch (error) {
    send({ kind: "fault", stack: stackOf(error) }, []);
  }
}

function send(head: object, texts: readonly string[]): void {
  // To ask the system takes a tenth of a small script, and memory that is kept is still there some scripts later.
  if (firstKind !== "code" || sent % framesPerLook === 0) {
    rssBytes = process.memoryUsage.rss();
  }
  sent += 1;
  channel.write(encodeFrame({ head: { ...head, rssBytes }, texts }));
}

/** The stack of a bug, without its message: that may contain customer data, which must not be logged. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return "the value that was thrown is not an Error";
  }
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return [error.name, ...frames].join("\n").slice(0, 2_000);
}
