import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { limitMemory } from "./process/memory-limits.ts";

// Compiled code is kept, which halves the time and a fifth of the memory that a start takes. Not where Node would keep
// it, in a folder for temporary files that other users may have laid first; and no matter if it cannot be written.
const compileCache = join(import.meta.dirname, "../node_modules/.cache/node");

// First of all, since the process may start anew. By the variable it then has the cache for this file too.
limitMemory({ environment: process.env, others: { NODE_COMPILE_CACHE: compileCache } });
enableCompileCache(compileCache);

const { runServer } = await import("./run-server.ts");
await runServer({ words: process.argv.slice(2), environment: process.env });
