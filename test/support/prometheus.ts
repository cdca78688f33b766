import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./eventually.ts";
import { freePort } from "./free-port.ts";
import { root } from "./source-tree.ts";

/** Debian's; CI installs it (`.ci/run`). */
const program = "/usr/bin/prometheus";

export type Prometheus = {
  /** Runs a query and gives what it found. Throws where it is not valid. */
  query(text: string): Promise<readonly unknown[]>;
  /** The queries of the alert rules, each of which has been evaluated without an error. */
  ruleQueries(): Promise<readonly string[]>;
  stop(): Promise<void>;
};

/** Runs Prometheus with the alert rules of `deploy/`, and waits until it has scraped a URL twice. Undefined where there is none. */
export async function startPrometheus(target: string): Promise<Prometheus | undefined> {
  if (!existsSync(program)) {
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), "flowcall-prometheus-"));
  await cp(join(root, "deploy/prometheus"), folder, { recursive: true });
  const file = join(folder, "prometheus.yaml");
  const config = (await readFile(file, "utf8"))
    .replace("127.0.0.1:4181", new URL(target).host)
    .replace("scrape_interval: 15s", "scrape_interval: 250ms");
  await writeFile(file, `global: { evaluation_interval: 500ms }\n${config}`);
  execFileSync("/usr/bin/promtool", ["check", "config", file], { stdio: "pipe" });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(
    program,
    [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ],
    { stdio: "ignore" },
  );
  const exited = once(child, "exit");
  const ask = async (path: string) => {
    const reply = await fetch(`${url}/api/v1/${path}`);
    const { status, error, data } = JSON.parse(await reply.text());
    if (status !== "success") {
      throw new Error(`${path}: ${error}`);
    }
    return data;
  };
  const query = async (text: string) => (await ask(`query?query=${encodeURIComponent(text)}`)).result;
  const rules = async () => (await ask("rules")).groups.flatMap((group: { rules: readonly Rule[] }) => group.rules);
  const stop = async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const isScraped = async () =>
      (await query('count_over_time(up{job="flowcall"}[1m]) >= 3').catch(() => [])).length > 0;
    await until("it has scraped, and has evaluated its rules", isScraped, { withinMs: 30_000 });
    const isEvaluated = async () => (await rules()).every(({ health }: Rule) => health !== "unknown");
    await until("the rules are evaluated", isEvaluated, { withinMs: 15_000 });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    query,
    ruleQueries: async () =>
      (await rules()).map(({ health, lastError, name, query: text }: Rule) => {
        if (health !== "ok") {
          throw new Error(`${name}: ${lastError}`);
        }
        return text;
      }),
    stop,
  };
}

type Rule = { readonly name: string; readonly query: string; readonly health: string; readonly lastError?: string };
