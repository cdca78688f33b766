import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/postgres.ts"],
    // The modules keep no state of their own, so that the files of a worker can share them.
    isolate: false,
    // Much of the time is spent in waiting for what a process or a clock of its own does.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    // Each case of test/faults starts processes of its own. Where nothing is known of how long files take, their short file
    // comes last, and has the machine to itself.
    maxConcurrency: 4,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
