// The same work as a service of Restate.

import { createServer } from "node:http2";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [peers = "", port = "0", step = "step"] = process.argv.slice(2);
const restate = await import(pathToFileURL(createRequire(join(peers, "x.js")).resolve("@restatedev/restate-sdk")).href);

type Task = { readonly "Task Name": string; readonly Assigned_to: string };
type Context = { run<T>(name: string, work: () => Promise<T>): Promise<T> };
const transform = (task: Task) => ({
  success: "true",
  new_note: `${task["Task Name"]} (assigned to ${task.Assigned_to})`,
});
const run = async (context: Context, task: Task) =>
  step === "none" ? transform(task) : context.run("transform", async () => transform(task));
const service = restate.service({ name: "Exec", handlers: { run } });
createServer(restate.createEndpointHandler({ services: [service] })).listen(Number(port), "127.0.0.1");
