import assert from "node:assert/strict";
import { endure } from "../endure.ts";
import { type FaultCase, seededRandom } from "../fault-case.ts";
import { Line } from "../line.ts";
import { until } from "../until.ts";

/** How many answers of a hundred to writes are lost. */
const lostPercent = 5;

/** The word of the protocol that a statement is complete, of one that commits something. */
const committed = /C.{4}(?:INSERT|UPDATE|DELETE|COMMIT)/s;

/** What was written is committed, and who wrote it never learns. */
export const lostAnswers: FaultCase = {
  id: "A7",
  title: `the answers to ${lostPercent} % of commits are lost, with their connections`,
  run: async (run) => {
    const database = await run.postgres.createExampleDatabase();
    const { connection } = database;
    const line = new Line(connection);
    await line.set("open");
    const random = seededRandom(run.random() * 2 ** 32);
    let lost = 0;
    // A sample makes few commits, which many calls share.
    const percent = run.size === "full" ? lostPercent : 5 * lostPercent;
    try {
      const figures = await endure(run, {
        database,
        databaseUrl: `postgres://${connection.user}@127.0.0.1:${line.port}/${connection.database}`,
        processes: 2,
        calls: run.size === "full" ? 5_000 : 120,
        planned: 1,
        faults: async ({ happened, load }) => {
          await happened();
          line.loseAnswers((answer) => {
            const isLost = committed.test(answer.toString("latin1")) && random() * 100 < percent;
            lost += isLost ? 1 : 0;
            return isLost;
          });
          await until("the answer to every call", () => load.isDone);
          line.loseAnswers(() => false);
        },
      });
      assert.ok(lost > 0, "no answer was lost");
      return { ...figures, lostAnswers: lost };
    } finally {
      await line.set("cut");
    }
  },
};
