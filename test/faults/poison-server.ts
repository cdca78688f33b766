/**
 * The service in a process of its own that kills itself whenever the node `poison` has run, before anything is written of
 * it: as a bug of ours would that this node brings to light.
 */
import { pino } from "pino";
import { App } from "../../src/app.ts";
import { readConfig } from "../../src/config.ts";
import { openStores } from "../../src/storage/stores.ts";
import { decorate, type Method } from "./decorate.ts";

const deadly =
  (call: Method): Method =>
  (...args) => {
    if (JSON.stringify(args).includes('"node_id":"poison"')) {
      process.kill(process.pid, "SIGKILL");
    }
    return call(...args);
  };

const app = new App({
  config: readConfig(),
  log: pino({ level: process.env["TEST_LOG"] ?? "silent" }),
  open: (database) => {
    const stores = openStores(database);
    const methods = Object.keys(stores.executions).map((name) => [name, deadly] as const);
    return { ...stores, executions: decorate(stores.executions, Object.fromEntries(methods)) };
  },
});
await app.start();
