#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { join } from "node:path";

// The compile cache lies in this program's own folder: in a shared one, another user could have planted code.
enableCompileCache(join(import.meta.dirname, "../../node_modules/.cache/node"));

const { runAdmin } = await import("./run-admin.ts");

process.exitCode = await runAdmin({
  words: process.argv.slice(2),
  stdout: process.stdout,
  stderr: process.stderr,
});
