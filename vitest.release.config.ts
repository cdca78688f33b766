import { defineConfig } from "vitest/config";

/** What a release must pass beside `npm run check`: it installs packages, and takes minutes. */
export default defineConfig({
  test: {
    include: ["test/release/**/*.release.ts"],
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
});
