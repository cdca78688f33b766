import { resolve } from "node:path";
import { z } from "zod";
import type { Limits } from "./domain/limits.ts";
import { nearest } from "./domain/nearest.ts";
import { type EgressAllow, EgressAllowError, parseEgressAllow } from "./engine/http/egress-allow-list.ts";
import { heapMib } from "./process/memory-limits.ts";
import type { ServerLimits } from "./server/limits/server-limits.ts";
import { limitsOf, limitVariables, serverLimitsOf, serverLimitVariables, whole } from "./settings/limit-settings.ts";
import { dataDirDefault } from "./setup/data-dir.ts";

/** What the process is told from outside. */
export type Config = {
  readonly host: string;
  readonly port: number;
  /** An external Postgres; the embedded one if absent. */
  readonly databaseUrl?: string;
  /** Where the embedded Postgres and `keys.json` live. */
  readonly dataDir: string;
  /** Whether the example organisation is founded and its workflows are loaded. */
  readonly examples: boolean;
  readonly testKey?: string;
  readonly productionKey?: string;
  readonly readyFile?: string;
  /** What seals the keys of what nodes hide; the first one seals, all of them open. */
  readonly encryptionKeys: readonly Buffer[];
  /** Whether the process starts although something is encrypted by a key that is not there. */
  readonly acceptsMissingKeys: boolean;
  /** What callers reach this service by, without a slash at the end; absent where each request says it. */
  readonly publicUrl?: string;
  /** The origins whose pages may call from a browser. */
  readonly corsOrigins: readonly string[];
  /** What HTTP nodes may reach although it is not public. */
  readonly egressAllow: EgressAllow;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent";
  /** Words for a person, or an object of JSON a line. */
  readonly logFormat: "text" | "json";
  readonly limits: Limits;
  readonly serverLimits: ServerLimits;
  /** The variables that are set, as a log may show them. */
  readonly given: Readonly<Record<string, string>>;
};

/** Every bad variable, a line each. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the defaults depend on. */
export type Surroundings = {
  readonly workingDir: string;
  readonly isRoot: boolean;
  /** Whether somebody reads the log at a terminal. */
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
  const result = schema.safeParse(given);
  if (!result.success) throw new ConfigError(result.error.issues.flatMap(problemsOf));
  const values = result.data;
  return {
    host: values.FLOWCALL_HOST,
    port: values.FLOWCALL_PORT,
    dataDir: resolve(workingDir, values.FLOWCALL_DATA_DIR ?? dataDirDefault(workingDir, isRoot)),
    examples: values.FLOWCALL_EXAMPLES ?? values.FLOWCALL_DATABASE_URL === undefined,
    logLevel: values.FLOWCALL_LOG_LEVEL,
    logFormat: values.FLOWCALL_LOG_FORMAT ?? (isTerminal ? "text" : "json"),
    corsOrigins: values.FLOWCALL_CORS_ORIGINS,
    encryptionKeys: values.FLOWCALL_ENCRYPTION_KEYS,
    acceptsMissingKeys: values.FLOWCALL_MISSING_KEYS === "accept",
    egressAllow: values.FLOWCALL_EGRESS_ALLOW,
    limits: limitsOf(values),
    serverLimits: serverLimitsOf(values),
    given: Object.fromEntries(
      Object.entries(given).map(([name, text = ""]) => [name, secretVariables.includes(name) ? "(set)" : text]),
    ),
    ...(values.FLOWCALL_DATABASE_URL !== undefined && { databaseUrl: values.FLOWCALL_DATABASE_URL }),
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

/** What no log may show: keys, and the password in a URL. */
const secretVariables = [
  "FLOWCALL_DATABASE_URL",
  "FLOWCALL_TEST_KEY",
  "FLOWCALL_PRODUCTION_KEY",
  "FLOWCALL_ENCRYPTION_KEYS",
];

/** What the command line reads: a shell that has them set may start a server too. */
const clientVariables = ["FLOWCALL_URL", "FLOWCALL_API_KEY", "FLOWCALL_ACCOUNT", "FLOWCALL_SLUG", "FLOWCALL_PROFILE"];

function key(start: string) {
  return z
    .string()
    .regex(
      new RegExp(`^${start}[\\x21-\\x7e]{16,200}$`),
      `must be ${start} and then 16 to 200 visible ASCII characters`,
    );
}

const databaseUrl = z.string().refine((text) => /^postgres(ql)?:$/.test(URL.parse(text)?.protocol ?? ""), {
  message: "must be a URL of the form postgres://user:password@host:5432/database",
});

/** What a path is put behind. A proxy may serve the API below a path of its own. */
const publicUrl = z.string().transform((text, context) => {
  const url = URL.parse(text);
  const isPlain = url !== null && /^https?:$/.test(url.protocol) && `${url.origin}${url.pathname}` === url.href;
  if (isPlain && !/[?#]/.test(text)) return url.href.replace(/\/+$/, "");
  const message = "must be a URL such as https://flows.example.com, without a user, a query and a fragment";
  context.issues.push({ code: "custom", message, input: text });
  return z.NEVER;
});

/** Origins as browsers spell them, so that a comparison of texts is enough. */
const origins = z
  .string()
  .transform((text) => text.split(",").map((origin) => origin.trim()))
  .refine((all) => all.every((origin) => /^https?:/.test(origin) && URL.parse(origin)?.origin === origin), {
    message: "must be origins such as https://console.example.com, in lower case, without a path, separated by commas",
  });

const egressAllow = z.string().transform((text, context) => {
  try {
    return parseEgressAllow(text);
  } catch (error) {
    if (!(error instanceof EgressAllowError)) throw error;
    for (const message of error.problems) context.issues.push({ code: "custom", message, input: text });
    return z.NEVER;
  }
});

/** Keys of AES-256, each as 44 characters of Base64. */
const encryptionKeys = z
  .string()
  .transform((text) => text.split(",").map((key) => key.trim()))
  .refine((keys) => keys.every((key) => /^[A-Za-z0-9+/]{43}=$/.test(key)), {
    message: "must be keys of 32 bytes in Base64, separated by commas (openssl rand -base64 32 makes one)",
  })
  .transform((keys) => keys.map((key) => Buffer.from(key, "base64")));

const schema = z.strictObject({
  FLOWCALL_HOST: z.string().default("127.0.0.1"),
  FLOWCALL_PORT: whole(0, 65_535).default(4180),
  FLOWCALL_DATABASE_URL: databaseUrl.optional(),
  FLOWCALL_DATA_DIR: z.string().optional(),
  FLOWCALL_EXAMPLES: z
    .enum(["true", "false"])
    .transform((text) => text === "true")
    .optional(),
  FLOWCALL_TEST_KEY: key("tk").optional(),
  FLOWCALL_PRODUCTION_KEY: key("pk").optional(),
  FLOWCALL_READY_FILE: z.string().optional(),
  FLOWCALL_PUBLIC_URL: publicUrl.optional(),
  FLOWCALL_CORS_ORIGINS: origins.default([]),
  FLOWCALL_ENCRYPTION_KEYS: encryptionKeys.default([]),
  FLOWCALL_MISSING_KEYS: z.enum(["refuse", "accept"]).default("refuse"),
  FLOWCALL_EGRESS_ALLOW: egressAllow.default(parseEgressAllow("")),
  // Read by main.ts before anything else, and checked here with the others.
  FLOWCALL_HEAP_MIB: whole(heapMib.min, heapMib.max).optional(),
  FLOWCALL_LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  FLOWCALL_LOG_FORMAT: z.enum(["text", "json"]).optional(),
  ...limitVariables,
  ...serverLimitVariables,
});

/** What all names begin with makes none of them alike. */
function nearestVariable(name: string): string | undefined {
  const known = Object.keys(schema.shape);
  const same = known.find((one) => one.replaceAll("_", "") === name.replaceAll("_", ""));
  const rest = (one: string) => one.slice(prefix.length);
  const [like] = nearest(rest(name), known.map(rest));
  return same ?? (like === undefined ? undefined : `${prefix}${like}`);
}

function problemsOf(issue: z.core.$ZodIssue): readonly string[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((name) => {
      const like = nearestVariable(name);
      const hint = like === undefined ? "see docs/settings.md" : `did you mean ${like}?`;
      return `${name}: there is no such variable (${hint})`;
    });
  }
  return [`${issue.path.join(".")}: ${issue.message}`];
}
