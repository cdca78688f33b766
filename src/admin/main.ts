#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { join } from "node:path";

// As the server does: compiled code is kept where nobody else can have laid it first.
enableCompileCache(join(import.meta.dirname, "../../node_modules/.cache/node"));

const { runAdmin } = await import("./run-admin.ts");

process.exitCode = await runAdmin({
  words: process.argv.slice(2),
  stdout: process.stdout,
  stderr: process.stderr,
});
