/** A process of its own with an embedded database: `node embedded-child.ts <data folder>`. Prints one line when it runs. */
import { pino } from "pino";
import { EmbeddedPostgres } from "../../src/storage/embedded/embedded-postgres.ts";

const [dataDir = ""] = process.argv.slice(2);
const database = new EmbeddedPostgres({ dataDir, log: pino({ level: "silent" }), settings: { fsync: "off" } });
try {
  await database.start();
  process.stdout.write(`${JSON.stringify(database.connection)}\n`);
  process.once("SIGTERM", () => void database.stop());
} catch (error) {
  process.stdout.write(`${String(error)}: ${error instanceof Error && String(error.cause)}\n`);
}
