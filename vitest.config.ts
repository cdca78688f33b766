import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/postgres.ts"],
    // The modules keep no state of their own, so that the files of a worker can share them.
    isolate: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
