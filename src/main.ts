import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { limitMemory } from "./process/memory-limits.ts";

// The compile cache saves half of the time of a start and a fifth of its memory. It is not in Node's default folder, which
// lies among temporary files where another user may have created it. If it cannot be written, Node goes on without it.
const compileCache = join(import.meta.dirname, "../node_modules/.cache/node");

// First of all, because the process may be re-executed. The variable then gives it the cache for this file too.
limitMemory({ environment: process.env, others: { NODE_COMPILE_CACHE: compileCache } });
enableCompileCache(compileCache);

const { runServer } = await import("./run-server.ts");
await runServer({ words: process.argv.slice(2), environment: process.env });
