// Whether a call is ever answered by the state before a change: everything that a call is resolved by is changed at one
// process, again and again, while another one is called all the time. Run it with:
//
//   node bench/changed-elsewhere.ts [rounds]
//
// It fails at the first such answer. 1,000 rounds take some minutes.

import { changeElsewhere } from "../test/support/changed-elsewhere.ts";
import { key, serve, startPostgres, stopServer } from "./service.ts";

async function run(rounds = 1_000): Promise<void> {
  const postgres = await startPostgres();
  const here = await postgres.startServer(import.meta.filename, ["serve"]);
  const elsewhere = await postgres.startServer(import.meta.filename, ["serve"]);
  const start = performance.now();
  const checked = await changeElsewhere(
    { here: here.url, elsewhere: elsewhere.url, key },
    { rounds, hasSchemas: true },
  );
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stdout.write(
    `${checked} calls after ${rounds} rounds of changes, none answered by the state before (${seconds} s)\n`,
  );
  await Promise.all([stopServer(here), stopServer(elsewhere)]);
  await postgres.stop();
}

const [argument] = process.argv.slice(2);
await (argument === "serve" ? serve() : run(argument === undefined ? undefined : Number(argument)));
