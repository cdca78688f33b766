// The settings that are no limits: a row for each, with its parser and its line in docs/settings.md.

import { accessSync, constants } from "node:fs";
import { availableParallelism } from "node:os";
import { z } from "zod";
import { EgressAllowError, parseEgressAllow } from "../engine/http/egress-allow-list.ts";
import { heapMib } from "../process/memory-limits.ts";
import { whole } from "./limit-settings.ts";

/** Workers beyond the cores gain nothing; a machine is not to be brought down by a number that was mistyped. */
const workersPerCoreMax = 4;

export type Setting = {
  readonly parser: z.ZodType;
  /** The default, as docs/settings.md says it. */
  readonly default: string;
  readonly text: string;
  /** A log must not show the value. */
  readonly isSecret?: true;
};

export const processSettings = {
  FLOWCALL_HOST: {
    parser: z.string().default("127.0.0.1"),
    default: "`127.0.0.1`",
    text: "The address to listen on.",
  },
  FLOWCALL_PORT: {
    parser: whole(0, 65_535).default(4180),
    default: "4180",
    text: "The port to listen on; 0 is any free one.",
  },
  FLOWCALL_WORKERS: {
    parser: z.string().transform(parseWorkers).default(1),
    default: "1",
    text: "Processes that serve calls: `auto` is one for each core, and four for each core are the most. More than one need a [supervisor](operating.md#several-workers), which is one process more.",
  },
  FLOWCALL_WORKER_TIMEOUT_MS: {
    parser: whole(1_000, 600_000).default(5_000),
    default: "5,000",
    text: "How long the event loop of one of several workers may stand still. Then the worker is killed and replaced.",
  },
  FLOWCALL_DATABASE_URL: {
    parser: z
      .string()
      .refine((text) => /^postgres(ql)?:$/.test(URL.parse(text)?.protocol ?? ""), {
        message: "must be a URL of the form postgres://user:password@host:5432/database",
      })
      .superRefine(checkCertificateFiles)
      .optional(),
    default: "none: the embedded Postgres",
    text: "An external Postgres, 15 or newer.",
    isSecret: true,
  },
  FLOWCALL_DATA_DIR: {
    parser: z.string().optional(),
    default: "`.flowcall`; as root `/var/lib/flowcall/<hash of the folder>`",
    text: "The folder of the embedded Postgres, of `keys.json` and, while the service runs, of `running.json` (its URL, for the command line).",
  },
  FLOWCALL_EXAMPLES: {
    parser: z
      .enum(["true", "false"])
      .transform((text) => text === "true")
      .optional(),
    default: "`true` on the embedded database, else `false`",
    text: "Whether the organisation `acme`, its integrations, accounts and example workflows are loaded.",
  },
  FLOWCALL_TEST_KEY: {
    parser: keyParser("tk").optional(),
    default: "generated, kept in `keys.json`",
    text: "The first organisation's key of the test environment (`tk…`). It is used when the database is empty; the service warns of [another one later](operating.md#organisations-and-lost-keys).",
    isSecret: true,
  },
  FLOWCALL_PRODUCTION_KEY: {
    parser: keyParser("pk").optional(),
    default: "generated, kept in `keys.json`",
    text: "The same for the production environment (`pk…`).",
    isSecret: true,
  },
  FLOWCALL_READY_FILE: {
    parser: z.string().optional(),
    default: "none",
    text: 'A file that exists while calls are accepted. It holds `{"url", "pid"}`.',
  },
  FLOWCALL_PUBLIC_URL: {
    parser: z.string().transform(parsePublicUrl).optional(),
    default: "none: the one of each request",
    text: "The URL by which callers reach the service, as `https://flows.example.com`. The URLs in replies start with it.",
  },
  FLOWCALL_CORS_ORIGINS: {
    parser: z
      .string()
      .transform(splitList)
      // Exactly as browsers spell them, so that a comparison of texts is enough.
      .refine((all) => all.every((origin) => /^https?:/.test(origin) && URL.parse(origin)?.origin === origin), {
        message:
          "must be origins such as https://console.example.com, in lower case, without a path, separated by commas",
      })
      .default([]),
    default: "none",
    text: "Origins whose web pages may call, as `https://a.example,https://b.example`, on REST, Connect and gRPC-Web.",
  },
  FLOWCALL_EGRESS_ALLOW: {
    parser: z.string().transform(parseAllowList).default(parseEgressAllow("")),
    default: "none",
    text: "Destinations that HTTP nodes may call although their address is not public: `host`, `host:port`, addresses and networks, as `crm.internal:8080,10.1.0.0/16`.",
  },
  FLOWCALL_ENCRYPTION_KEYS: {
    parser: z
      .string()
      .transform(splitList)
      .refine((keys) => keys.every((key) => /^[A-Za-z0-9+/]{43}=$/.test(key)), {
        message: "must be keys of 32 bytes in Base64, separated by commas (openssl rand -base64 32 makes one)",
      })
      .transform((keys) => keys.map((key) => Buffer.from(key, "base64")))
      .default([]),
    default: "on the embedded database generated, kept in `encryption.key`",
    text: "Master keys of 32 bytes in Base64, separated by commas. The first one encrypts secret node data and credentials, and signs watch tokens and the URLs of waiting nodes; the others only decrypt. Without a key, workflows that need one are refused.",
    isSecret: true,
  },
  FLOWCALL_MISSING_KEYS: {
    parser: z.enum(["refuse", "accept"]).default("refuse"),
    default: "`refuse`",
    text: "Whether to start if something is encrypted by a key that is missing: `refuse`, or `accept` if the key is lost for good.",
  },
  FLOWCALL_LOG_LEVEL: {
    parser: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
    default: "`info`",
    text: "`debug`, `info`, `warn`, `error` or `silent`. The log goes to stderr.",
  },
  FLOWCALL_LOG_EXECUTIONS: {
    parser: z.enum(["failed", "all", "none"]).default("failed"),
    default: "`failed`",
    text: "Which executions are a line of the log when they end: `failed` (level `warn`), `all` (the others at `info`), or `none`.",
  },
  FLOWCALL_LOG_FORMAT: {
    parser: z.enum(["text", "json"]).optional(),
    default: "`text` if stderr is a terminal, else `json`",
    text: "`text` for people, or `json`: an object on each line.",
  },
  FLOWCALL_METRICS_PORT: {
    parser: whole(0, 65_535).optional(),
    default: "none: there are no metrics",
    text: "The port of [metrics](metrics.md) for Prometheus, at `/metrics`. They need no key; 0 is any free port.",
  },
  FLOWCALL_METRICS_HOST: {
    parser: z.string().default("127.0.0.1"),
    default: "`127.0.0.1`",
    text: "The address of the metrics, for who is on another machine: whoever reaches it may read them.",
  },
  // main.ts reads it before anything else; it is checked here together with the others.
  FLOWCALL_HEAP_MIB: {
    parser: whole(heapMib.min, heapMib.max).optional(),
    default: "512, or less if V8 uses less on a small machine",
    text: "The size of V8's old generation in MiB. A flag of your own (`--max-old-space-size`, also in `NODE_OPTIONS`) takes precedence.",
  },
} as const satisfies Record<string, Setting>;

function keyParser(start: string) {
  const form = new RegExp(`^${start}[\\x21-\\x7e]{16,200}$`);
  return z.string().regex(form, `must be ${start} and then 16 to 200 visible ASCII characters`);
}

/** The driver takes a file that it cannot read for a database that is away. */
function checkCertificateFiles(text: string, context: z.core.$RefinementCtx<string>): void {
  for (const name of ["sslrootcert", "sslcert", "sslkey"]) {
    const file = URL.parse(text)?.searchParams.get(name);
    try {
      if (file && file !== "system") {
        accessSync(file, constants.R_OK);
      }
    } catch {
      context.addIssue(`its ${name} names ${file}, which cannot be read; name a file that this user may read`);
    }
  }
}

function parseWorkers(text: string, context: z.core.$RefinementCtx): number {
  const cores = availableParallelism();
  const workers = text === "auto" ? cores : /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (workers >= 1 && workers <= workersPerCoreMax * cores) {
    return workers;
  }
  const message = `must be auto, or a whole number from 1 to ${workersPerCoreMax * cores} on this machine`;
  context.issues.push({ code: "custom", message, input: text });
  return z.NEVER;
}

function splitList(text: string): readonly string[] {
  return text.split(",").map((item) => item.trim());
}

/** A URL that paths are appended to. A proxy may serve the API below a path of its own. */
function parsePublicUrl(text: string, context: z.core.$RefinementCtx): string {
  const url = URL.parse(text);
  const isPlain = url !== null && /^https?:$/.test(url.protocol) && `${url.origin}${url.pathname}` === url.href;
  if (isPlain && !/[?#]/.test(text)) {
    return url.href.replace(/\/+$/, "");
  }
  const message = "must be a URL such as https://flows.example.com, without a user, a query and a fragment";
  context.issues.push({ code: "custom", message, input: text });
  return z.NEVER;
}

function parseAllowList(text: string, context: z.core.$RefinementCtx) {
  try {
    return parseEgressAllow(text);
  } catch (error) {
    if (!(error instanceof EgressAllowError)) {
      throw error;
    }
    for (const message of error.problems) {
      context.issues.push({ code: "custom", message, input: text });
    }
    return z.NEVER;
  }
}
