// DBOS with the same work behind the same paths, and its Postgres, in a process of its own.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { startPostgres } from "../service.ts";

const [peers = "", step = "step"] = process.argv.slice(2);

try {
  const postgres = await startPostgres();
  const { host, port, user, database } = postgres.connection;
  const url = `postgres://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`;
  const { DBOS } = await import(pathToFileURL(createRequire(join(peers, "x.js")).resolve("@dbos-inc/dbos-sdk")).href);
  DBOS.setConfig({ name: "bench", systemDatabaseUrl: url, logLevel: "error" });
  type Task = { readonly "Task Name": string; readonly Assigned_to: string };
  const transform = (task: Task) => ({
    success: "true",
    new_note: `${task["Task Name"]} (assigned to ${task.Assigned_to})`,
  });
  const workflow = DBOS.registerWorkflow(
    async (task: Task) =>
      step === "none" ? transform(task) : DBOS.runStep(async () => transform(task), { name: "transform" }),
    { name: "workflow" },
  );
  await DBOS.launch();
  const client = new pg.Client(postgres.connection);
  await client.connect();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    let reply: unknown;
    if (request.url === "/pending") {
      const { rows } = await client.query(
        "select count(*) from dbos.workflow_status where status in ('PENDING', 'ENQUEUED')",
      );
      reply = Number(rows[0].count);
    } else {
      const handle = await DBOS.startWorkflow(workflow)(JSON.parse(Buffer.concat(chunks).toString()));
      const { workflowID: execution_id } = handle;
      reply = request.url === "/sync" ? { return_value: await handle.getResult(), execution_id } : { execution_id };
    }
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(reply));
  });
  server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as pg.ClientConfig).port }));
  process.once(
    "SIGTERM",
    () =>
      void client
        .end()
        .then(() => postgres.stop())
        .finally(() => process.exit()),
  );
} catch (error) {
  process.send?.({ problem: String(error) }, () => process.exit(1));
}
