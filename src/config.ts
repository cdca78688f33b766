import { resolve } from "node:path";
import { z } from "zod";
import { type Limits, limitTable } from "./domain/limits.ts";
import { nearest } from "./domain/nearest.ts";
import type { EgressAllow } from "./engine/http/egress-allow-list.ts";
import type { LoggedEnds } from "./process/log-executions.ts";
import { type ServerLimits, serverLimitTable } from "./server/limits/server-limits.ts";
import { limitsFrom, limitVariables } from "./settings/limit-settings.ts";
import { processSettings, type Setting } from "./settings/process-settings.ts";
import { readSecretFiles } from "./settings/secret-files.ts";
import { dataDirDefault } from "./setup/data-dir.ts";

/** The configuration of the process, read from environment variables. `settings/` has a row for each. */
export type Config = {
  readonly host: string;
  readonly port: number;
  /** How many processes serve calls. With several, the first process prepares, starts and watches them. */
  readonly workers: number;
  readonly workerTimeoutMs: number;
  /** An external Postgres; the embedded one if absent. */
  readonly databaseUrl?: string;
  /** The folder of the embedded Postgres and of `keys.json`. */
  readonly dataDir: string;
  /** Whether the example organisation and its workflows are created. */
  readonly examples: boolean;
  readonly testKey?: string;
  readonly productionKey?: string;
  readonly readyFile?: string;
  /** Master keys of the envelope encryption: the first one encrypts, all of them decrypt. */
  readonly encryptionKeys: readonly Buffer[];
  /** Whether the process starts although something is encrypted by a missing key. */
  readonly acceptsMissingKeys: boolean;
  /** The URL by which callers reach the service, without a slash at the end; absent: the one of each request. */
  readonly publicUrl?: string;
  /** The origins whose pages may call from a browser. */
  readonly corsOrigins: readonly string[];
  /** Destinations that HTTP nodes may call although their address is not public. */
  readonly egressAllow: EgressAllow;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent";
  /** Where metrics are served; absent: nowhere. */
  readonly metrics?: { readonly host: string; readonly port: number };
  /** Which ends of executions are logged. */
  readonly loggedEnds: LoggedEnds;
  /** Text for people, or JSON lines. */
  readonly logFormat: "text" | "json";
  /** The limits of one process: with several workers, what each of them gets. */
  readonly limits: Limits;
  readonly serverLimits: ServerLimits;
  /** The variables that are set, without secrets, for the log. */
  readonly given: Readonly<Record<string, string>>;
};

/** All wrong variables, one line for each problem. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The facts that some defaults depend on. */
export type Surroundings = {
  readonly workingDir: string;
  readonly isRoot: boolean;
  /** Whether the log goes to a terminal. */
  readonly isTerminal: boolean;
};

/** Reads the variables that begin with FLOWCALL_. Throws ConfigError with all problems at once. */
export function readConfig(
  environment: Environment = process.env,
  { workingDir, isRoot, isTerminal }: Surroundings = surroundings(),
): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(
      ([name, value]) =>
        name.startsWith(prefix) && !clientVariables.includes(name) && value !== undefined && value !== "",
    ),
  );
  const secrets = readSecretFiles(given, secretVariables);
  const result = schema.safeParse(secrets.variables);
  if (!result.success || secrets.problems.length > 0) {
    throw new ConfigError([
      ...secrets.problems,
      ...(result.error?.issues ?? []).flatMap((issue) => problemsOf(issue, given)),
    ]);
  }
  const values = result.data;
  return {
    host: values.FLOWCALL_HOST,
    port: values.FLOWCALL_PORT,
    workers: values.FLOWCALL_WORKERS,
    workerTimeoutMs: values.FLOWCALL_WORKER_TIMEOUT_MS,
    dataDir: resolve(workingDir, values.FLOWCALL_DATA_DIR ?? dataDirDefault(workingDir, isRoot)),
    examples: values.FLOWCALL_EXAMPLES ?? values.FLOWCALL_DATABASE_URL === undefined,
    logLevel: values.FLOWCALL_LOG_LEVEL,
    loggedEnds: values.FLOWCALL_LOG_EXECUTIONS,
    logFormat: values.FLOWCALL_LOG_FORMAT ?? (isTerminal ? "text" : "json"),
    corsOrigins: values.FLOWCALL_CORS_ORIGINS,
    encryptionKeys: values.FLOWCALL_ENCRYPTION_KEYS,
    acceptsMissingKeys: values.FLOWCALL_MISSING_KEYS === "accept",
    egressAllow: values.FLOWCALL_EGRESS_ALLOW,
    limits: limitsFrom(limitTable, values, values.FLOWCALL_WORKERS),
    serverLimits: limitsFrom(serverLimitTable, values, values.FLOWCALL_WORKERS),
    given: Object.fromEntries(
      Object.entries(given).map(([name, text = ""]) => [name, secretVariables.includes(name) ? "(set)" : text]),
    ),
    ...(values.FLOWCALL_DATABASE_URL !== undefined && { databaseUrl: values.FLOWCALL_DATABASE_URL }),
    ...(values.FLOWCALL_METRICS_PORT !== undefined && {
      metrics: { host: values.FLOWCALL_METRICS_HOST, port: values.FLOWCALL_METRICS_PORT },
    }),
    ...(values.FLOWCALL_PUBLIC_URL !== undefined && { publicUrl: values.FLOWCALL_PUBLIC_URL }),
    ...(values.FLOWCALL_TEST_KEY !== undefined && { testKey: values.FLOWCALL_TEST_KEY }),
    ...(values.FLOWCALL_PRODUCTION_KEY !== undefined && { productionKey: values.FLOWCALL_PRODUCTION_KEY }),
    ...(values.FLOWCALL_READY_FILE !== undefined && { readyFile: resolve(workingDir, values.FLOWCALL_READY_FILE) }),
  };
}

function surroundings(): Surroundings {
  return { workingDir: process.cwd(), isRoot: process.getuid?.() === 0, isTerminal: process.stderr.isTTY === true };
}

const prefix = "FLOWCALL_";

/** Variables of the command line: a shell that has them set may start a server too. */
const clientVariables = [
  "FLOWCALL_URL",
  "FLOWCALL_API_KEY",
  "FLOWCALL_API_KEY_FILE",
  "FLOWCALL_ACCOUNT",
  "FLOWCALL_SLUG",
  "FLOWCALL_PROFILE",
];

const secretVariables = Object.entries(processSettings).flatMap(([name, row]) => ("isSecret" in row ? [name] : []));

const schema = z.strictObject({
  ...parsersOf(processSettings),
  ...limitVariables(limitTable),
  ...limitVariables(serverLimitTable),
});

function parsersOf<Settings extends Readonly<Record<string, Setting>>>(settings: Settings) {
  const parsers = Object.entries(settings).map(([name, { parser }]) => [name, parser]);
  // Object.fromEntries loses the names.
  return Object.fromEntries(parsers) as { [Name in keyof Settings]: Settings[Name]["parser"] };
}

/** The known variable with the most similar name. The common prefix does not count. */
function nearestVariable(name: string): string | undefined {
  const known = Object.keys(schema.shape);
  const same = known.find((one) => one.replaceAll("_", "") === name.replaceAll("_", ""));
  const rest = (one: string) => one.slice(prefix.length);
  const [like] = nearest(rest(name), known.map(rest));
  return same ?? (like === undefined ? undefined : `${prefix}${like}`);
}

function problemsOf(issue: z.core.$ZodIssue, given: Environment): readonly string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((name) => {
      const like = nearestVariable(name);
      const hint = like === undefined ? "see docs/settings.md" : `did you mean ${like}?`;
      return `${name}: there is no such variable (${hint})`;
    });
  }
  const name = issue.path.join(".");
  // The value of a secret may stand in a file.
  return [`${given[`${name}_FILE`] === undefined ? name : `${name}_FILE`}: ${issue.message}`];
}
