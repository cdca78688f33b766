/**
 * The service in a process of its own that kills itself at a failpoint: `node failing-server.ts <failpoint as JSON>`.
 * It tells its parent its address, and is told when to arm and when to stop.
 */
import { pino } from "pino";
import { App } from "../../src/app.ts";
import { readConfig } from "../../src/config.ts";
import { openStores } from "../../src/storage/stores.ts";
import { type Failpoint, withFailpoint } from "./failpoint.ts";

const [text = "{}"] = process.argv.slice(2);
// Written by the test that starts this process.
const failpoint = JSON.parse(text) as Failpoint;
let arm = () => {};
const app = new App({
  config: readConfig(),
  log: pino({ level: "silent" }),
  open: (database) => {
    const failing = withFailpoint(openStores(database), failpoint, () => {
      process.kill(process.pid, "SIGKILL");
      return new Promise<never>(() => undefined);
    });
    arm = failing.arm;
    return failing.stores;
  },
});
process.on("message", (message) => {
  if (message === "arm") {
    arm();
    process.send?.("armed");
  } else {
    void app.stop().then(() => process.exit());
  }
});
await app.start();
process.send?.(app.url);
