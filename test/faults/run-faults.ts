/**
 * `npm run -s faults`: runs the cases one after the other and prints a table. Progress goes to stderr. Exits with 1 where
 * something did not hold, with 2 when it was called wrongly.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { startTestPostgres, type TestPostgres } from "../support/postgres.ts";
import { cases } from "./cases.ts";
import { type FaultCase, type FaultFigures, type FaultSize, seededRandom } from "./fault-case.ts";

const usage = `npm run -s faults -- [--seed N] [--only A1,B3] [--size full|sample] [-o text|json] [--help]

  --seed N      the seed of every schedule of faults; without it one is drawn, and said
  --only IDS    these cases alone
  --size SIZE   full, or sample: what runs in npm test
  -o FORMAT     text, a table, or json

${cases.map(({ id, title }) => `  ${id.padEnd(12)}  ${title}`).join("\n")}
`;

type Options = {
  readonly seed: number;
  readonly size: FaultSize;
  readonly isJson: boolean;
  readonly chosen: readonly FaultCase[];
};

type Row = {
  readonly id: string;
  readonly title: string;
  readonly seed: number;
  readonly seconds: number;
  readonly verdict: "holds" | "BREACH";
  readonly figures: FaultFigures;
  readonly breach?: string;
};

const options = readOptions();
process.stderr.write(`seed ${options.seed}\n`);
// An exit takes the database along, which a signal alone does not.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => process.exit(1));
}
const postgres = await startTestPostgres();
const rows: Row[] = [];
try {
  for (const one of options.chosen) {
    rows.push(await runCase(one, postgres));
  }
} finally {
  await postgres.stop();
}
process.stdout.write(options.isJson ? `${JSON.stringify(rows, undefined, 2)}\n` : tableOf(rows));
process.exit(rows.every(({ verdict }) => verdict === "holds") ? 0 : 1);

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: "string", default: String(randomInt(2 ** 31)) },
        only: { type: "string", default: cases.map(({ id }) => id).join() },
        size: { type: "string", default: "full" },
        output: { type: "string", short: "o", default: "text" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(usage);
      process.exit(0);
    }
    const { size, output } = values;
    if (!/^\d{1,10}$/.test(values.seed)) {
      throw new Error(`--seed takes a whole number, and not ${values.seed}`);
    }
    if (size !== "full" && size !== "sample") {
      throw new Error(`--size takes full or sample, and not ${size}`);
    }
    if (output !== "text" && output !== "json") {
      throw new Error(`-o takes text or json, and not ${output}`);
    }
    return { seed: Number(values.seed), size, isJson: output === "json", chosen: values.only.split(",").map(find) };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    process.exit(2);
  }
}

function find(name: string): FaultCase {
  const found = cases.find(({ id }) => id === name);
  if (found === undefined) {
    throw new Error(`--only takes the ids of cases, and there is none of ${name}`);
  }
  return found;
}

async function runCase({ id, title, run }: FaultCase, onPostgres: TestPostgres): Promise<Row> {
  const { seed, size } = options;
  const say = (line: string) => void process.stderr.write(`${id}: ${line}\n`);
  say(title);
  const startTime = performance.now();
  const row = (verdict: Row["verdict"], figures: FaultFigures) => {
    const seconds = Math.round((performance.now() - startTime) / 100) / 10;
    say(`${verdict} after ${seconds} s`);
    return { id, title, seed, seconds, verdict, figures };
  };
  try {
    return row("holds", await run({ seed, random: seededRandom(seed), size, postgres: onPostgres, say }));
  } catch (error) {
    const breach = error instanceof Error ? (error.stack ?? error.message) : String(error);
    say(breach);
    return { ...row("BREACH", {}), breach };
  }
}

function tableOf(all: readonly Row[]): string {
  const head = ["case", "what goes wrong", "seed", "seconds", "verdict", "figures"];
  const lines = all.map(({ id, title, seed, seconds, verdict, figures }) => {
    const texts = Object.entries(figures).map(([name, value]) => `${name} ${textOf(value)}`);
    return [id, title, String(seed), seconds.toFixed(1), verdict, texts.join(", ")];
  });
  const widths = head.map((_, column) => Math.max(...[head, ...lines].map((line) => line[column]?.length ?? 0)));
  const text = [head, ...lines].map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${text.join("\n")}\n`;
}

function textOf(value: number | string): string {
  return typeof value === "number" ? String(Math.round(value * 1_000) / 1_000) : value;
}
