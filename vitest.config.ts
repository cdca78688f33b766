import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * The file that takes longest begins first, and the one whose cases measure times runs last, when little else does; those
 * between them as vitest orders them.
 */
class Sequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) =>
      Number(moduleId.endsWith("/faults/alone-cases.test.ts")) - Number(moduleId.endsWith("/faults/cases.test.ts"));
    return (await super.sort(files)).toSorted((left, right) => place(left) - place(right));
  }
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/postgres.ts"],
    sequence: { sequencer: Sequencer },
    // The modules keep no state of their own, so that the files of a worker can share them.
    isolate: false,
    // Much of the time is spent in waiting for what a process or a clock of its own does.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Each case of test/faults starts processes of its own.
    maxConcurrency: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
