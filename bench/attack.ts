// Attacks a server as somebody with bad intentions would, beside an organisation that does nothing wrong, and says
// whether that one noticed. Run `node bench/attack.ts --help`.

import { appendFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Attack } from "./attack/attack.ts";
import { attacks, findAttack } from "./attack/attacks.ts";
import { type MeasureOptions, measure } from "./attack/measure.ts";
import { judge, type Row, tableOf } from "./attack/verdict.ts";

const usage = `node bench/attack.ts [options]

Starts the server of a checkout for each attack, with a data folder and a Postgres of its own, and beside the attackers,
who come from other addresses of the loopback and give way to others on the CPU, a victim: another organisation that makes
one synchronous call every 100 ms and keeps 20 executions with HTTP calls under way. Prints a table and what did not hold.

  --server DIR         the checkout whose server is attacked; this one by default
  --only IDS           these attacks alone, as 1,7c,10b
  --strength N         how many attackers of the report's strength there are, as 1,4; 1 by default
  --seconds N          how long each attack lasts at the most; 20 by default
  --quiet N            how long it is quiet after that, in seconds; 10 by default
  --drain N            how long the victim's executions may take to end then, in seconds; 30 by default
  --rest N             how long the server then has to come back to 250 MiB, in seconds; 50 by default
  --organizations N    how many organisations the attackers are of; 1 by default
  --all-at-once M      all attacks together, again and again, for so many minutes; prints the curve of the memory
  --rss-max MIB        where the server is killed to spare the machine; 6000 by default
  --json FILE          also appends what was measured to this file, a JSON object a line
  --help

${attacks.map(({ id, title }) => `  ${id.padEnd(4)} ${title}`).join("\n")}
`;

const { values } = parseArgs({
  options: {
    server: { type: "string", default: resolve(import.meta.dirname, "..") },
    only: { type: "string", default: attacks.map(({ id }) => id).join() },
    strength: { type: "string", default: "1" },
    seconds: { type: "string", default: "20" },
    quiet: { type: "string", default: "10" },
    drain: { type: "string", default: "30" },
    rest: { type: "string", default: "50" },
    organizations: { type: "string", default: "1" },
    "all-at-once": { type: "string" },
    "rss-max": { type: "string", default: "6000" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}

const options: Omit<MeasureOptions, "strength"> = {
  server: resolve(values.server),
  seconds: Number(values.seconds),
  quietSeconds: Number(values.quiet),
  drainSeconds: Number(values.drain),
  restSeconds: Number(values.rest),
  baselineSeconds: 3,
  organizations: Number(values.organizations),
  rssMaxBytes: Number(values["rss-max"]) * 1024 ** 2,
};
const chosen = values.only.split(",").map(findAttack);
const rows: Row[] = [];
let isBroken = false;
const strengths = values.strength.split(",").map(Number);
const minutes = values["all-at-once"];
if (minutes === undefined) {
  for (const strength of strengths) {
    for (const attack of chosen) {
      await attackWith([attack], strength);
    }
  }
} else {
  for (const strength of strengths) {
    await attackWith(chosen, strength, { seconds: 60 * Number(minutes), turnSeconds: 30 });
  }
}
process.stdout.write(tableOf(rows));
process.exit(isBroken ? 1 : 0);

async function attackWith(
  all: readonly Attack[],
  strength: number,
  turns: Partial<Pick<MeasureOptions, "seconds" | "turnSeconds">> = {},
): Promise<void> {
  for (const { id, title } of all) {
    process.stderr.write(`${id} ×${strength}: ${title}\n`);
  }
  try {
    const measured = await measure(all, { ...options, ...turns, strength });
    const { row, breaches } = judge(measured);
    rows.push(row);
    isBroken ||= breaches.length > 0;
    process.stderr.write(`  ${JSON.stringify(row)}\n  attackers: ${JSON.stringify(measured.counts)}\n`);
    for (const breach of breaches) {
      process.stderr.write(`  BREACH: ${breach}\n`);
    }
    if (all.length > 1) {
      process.stdout.write(tableOf(measured.curve));
    }
    if (values.json !== undefined) {
      const { counts, curve } = measured;
      const line = { server: options.server, ...row, breaches, counts, ...(all.length > 1 && { curve }) };
      await appendFile(values.json, `${JSON.stringify(line)}\n`);
    }
  } catch (error) {
    isBroken = true;
    process.stderr.write(`  could not be tried: ${error instanceof Error ? error.stack : error}\n`);
  }
}
