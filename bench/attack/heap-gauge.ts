/*
 * Loaded into the attacked server before its own code: it writes down every second how much of the heap is in use. A
 * process whose loop is blocked writes nothing.
 */
import { renameSync, writeFileSync } from "node:fs";

const file = process.env["ATTACK_HEAP_FILE"];

if (file !== undefined && process.argv[1]?.endsWith("main.ts")) {
  const partial = `${file}.${process.pid}`;
  setInterval(() => {
    writeFileSync(partial, String(process.memoryUsage().heapUsed));
    renameSync(partial, file);
  }, 1_000).unref();
}
