// Which variable sets which limit, and within what bounds: a row for each, and nothing else to change for a new one.

import { z } from "zod";
import { type DefinitionLimits, defaultLimits, type JsonLimits, type Limits } from "../domain/limits.ts";
import { defaultServerLimits, type ServerLimits } from "../server/limits/server-limits.ts";

/** The name of a limit, or of a limit of one kind of JSON values or of definitions, as `payload.bytesMax`. */
type LimitPath =
  | { [Name in keyof Limits]: Limits[Name] extends number ? Name : never }[keyof Limits]
  | `${"payload" | "output"}.${keyof JsonLimits}`
  | `definition.${keyof DefinitionLimits}`;

/** How a variable is read, and what it sets. */
type Setting<Path> = readonly [ReturnType<typeof whole>, ...Path[]];

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const mebibyte = 1024 ** 2;

const settings = {
  FLOWCALL_PAYLOAD_BYTES: [whole(1_024, 64 * mebibyte), "payload.bytesMax"],
  FLOWCALL_PAYLOAD_VALUES: [whole(1, 5_000_000), "payload.valuesMax"],
  FLOWCALL_PAYLOAD_DEPTH: [whole(1, 24), "payload.depthMax"],
  FLOWCALL_OUTPUT_BYTES: [whole(1_024, 64 * mebibyte), "output.bytesMax"],
  FLOWCALL_OUTPUT_VALUES: [whole(1, 5_000_000), "output.valuesMax"],
  FLOWCALL_OUTPUT_DEPTH: [whole(1, 32), "output.depthMax"],
  FLOWCALL_OBJECT_KEYS: [whole(1, 1_000_000), "payload.keysMax", "output.keysMax"],
  FLOWCALL_TRANSPORT_BYTES: [whole(4_096, 256 * mebibyte), "transportBytesMax"],
  FLOWCALL_EVENT_HEADER_BYTES: [whole(0, 65_536), "eventHeaderBytesMax"],
  FLOWCALL_GRAPH_NODES: [whole(1, 500), "graphNodesMax"],
  FLOWCALL_DEFINITION_BYTES: [whole(1_024, 16 * mebibyte), "definition.bytesMax"],
  FLOWCALL_DEFINITION_QUERY: [whole(1_024, mebibyte), "definition.queryMax"],
  FLOWCALL_DEFINITION_TEXT: [whole(1_024, 4 * mebibyte), "definition.textMax"],
  FLOWCALL_DEFINITION_TEMPLATES: [whole(100, 100_000), "definition.templatesMax"],
  FLOWCALL_DEFINITION_REGEXES: [whole(1, 10_000), "definition.regexesMax"],
  FLOWCALL_SYNC_WAIT_MS: [whole(1, hourMs), "syncWaitMs"],
  FLOWCALL_GROUP_ITERATIONS: [whole(1, 1_000_000), "groupIterationsMax"],
  FLOWCALL_CALL_CHAIN: [whole(1, 100), "callChainMax"],
  FLOWCALL_RECORDS_BYTES: [whole(mebibyte, 1024 * mebibyte), "recordsBytesMax"],
  FLOWCALL_RECORDS_MEMORY_BYTES: [whole(mebibyte, 64 * 1024 * mebibyte), "recordsMemoryBytesMax"],
  FLOWCALL_NODE_TIMEOUT_MS: [whole(1, 2 * hourMs), "nodeTimeoutMs"],
  FLOWCALL_HTTP_TIMEOUT_MS: [whole(1, 2 * hourMs), "httpTimeoutMs"],
  FLOWCALL_HTTP_ANSWER_BYTES: [whole(1, 64 * mebibyte), "httpAnswerBytesMax"],
  FLOWCALL_HTTP_PAGES: [whole(1, 10_000), "httpPagesMax"],
  FLOWCALL_QUERY_MS: [whole(1, 60_000), "queryMs"],
  FLOWCALL_POOL_CHILDREN: [whole(1, 256), "poolChildren"],
  FLOWCALL_POOL_KEPT: [whole(0, 256), "poolKept"],
  FLOWCALL_CHILD_HEAP_MIB: [whole(32, 4_096), "childHeapMib"],
  FLOWCALL_POOL_QUEUE_MAX: [whole(1, 1_000_000), "poolQueueMax"],
  FLOWCALL_RUN_MS: [whole(1, 365 * dayMs), "runMs"],
  FLOWCALL_AGE_MS: [whole(1_000, 3_650 * dayMs), "ageMs"],
  FLOWCALL_RETENTION: [duration(dayMs, 3_650 * dayMs), "retentionMs"],
  FLOWCALL_SLOTS: [whole(1, 100_000), "slots"],
  FLOWCALL_QUEUE_MAX: [whole(0, 100_000_000), "queueMax"],
  FLOWCALL_ORGANIZATION_QUEUE_MAX: [whole(0, 100_000_000), "organizationQueueMax"],
  FLOWCALL_ENVIRONMENT_QUEUE_MAX: [whole(0, 100_000_000), "environmentQueueMax"],
  FLOWCALL_ACCOUNT_QUEUE_MAX: [whole(0, 100_000_000), "accountQueueMax"],
  FLOWCALL_ORGANIZATION_RUNNING_MAX: [whole(1, 100_000_000), "organizationRunningMax"],
  FLOWCALL_ENVIRONMENT_RUNNING_MAX: [whole(1, 100_000_000), "environmentRunningMax"],
  FLOWCALL_ACCOUNT_RUNNING_MAX: [whole(1, 100_000_000), "accountRunningMax"],
  FLOWCALL_ORGANIZATION_REQUESTS_MAX: [whole(1, 100_000_000), "organizationRequestsMax"],
  FLOWCALL_ENVIRONMENT_DAY_BYTES: [whole(0, 1024 ** 4), "environmentDayBytesMax"],
  FLOWCALL_KEY_REQUESTS_MAX: [whole(1, 100_000_000), "keyRequestsMax"],
  FLOWCALL_VERSIONS_CACHED: [whole(1, 1_000_000), "versionsMax"],
  FLOWCALL_VERSIONS_BYTES: [whole(mebibyte, 64 * 1024 * mebibyte), "versionsBytesMax"],
  FLOWCALL_ORGANIZATION_WATCHERS_MAX: [whole(0, 1_000_000), "organizationWatchersMax"],
  FLOWCALL_ENVIRONMENT_WATCHERS_MAX: [whole(0, 1_000_000), "environmentWatchersMax"],
  FLOWCALL_WATCHERS_MAX: [whole(0, 1_000_000), "watchersMax"],
  FLOWCALL_STREAM_STALL_MS: [whole(100, hourMs), "streamStallMs"],
  FLOWCALL_REFLECTION_MS: [whole(100, hourMs), "reflectionMs"],
  FLOWCALL_EVENT_COMMENT_MS: [whole(100, hourMs), "eventCommentMs"],
} as const satisfies Record<string, Setting<LimitPath>>;

const serverSettings = {
  FLOWCALL_CONNECTIONS: [whole(1, 1_000_000), "connectionsMax"],
  FLOWCALL_CONNECTIONS_PER_ADDRESS: [whole(1, 1_000_000), "connectionsPerAddressMax"],
  FLOWCALL_KEY_LOOKUPS_PER_ADDRESS: [whole(1, 1_000_000), "keyLookUpsPerAddressMax"],
  FLOWCALL_KEY_LOOKUPS_WAITING: [whole(1, 1_000_000), "keyLookUpsWaitingMax"],
  FLOWCALL_BODY_BYTES: [whole(mebibyte, 64 * 1024 * mebibyte), "bodyBytesMax"],
  FLOWCALL_KEY_BODY_BYTES: [whole(mebibyte, 64 * 1024 * mebibyte), "keyBodyBytesMax"],
  FLOWCALL_CONNECTION_BODY_BYTES: [whole(mebibyte, 64 * 1024 * mebibyte), "connectionBodyBytesMax"],
  FLOWCALL_CALLS: [whole(1, 1_000_000), "callsMax"],
  FLOWCALL_ENVIRONMENT_CALLS: [whole(1, 1_000_000), "environmentCallsMax"],
  FLOWCALL_ENVIRONMENT_WAITING: [whole(1, 1_000_000), "environmentWaitingMax"],
  FLOWCALL_REFUSED_KEYS_PER_ADDRESS: [whole(0, 1_000_000), "refusedKeysPerAddressMax"],
  FLOWCALL_REFUSED_KEY_MS: [whole(0, 10_000), "refusedKeyMs"],
  FLOWCALL_REFUSALS_PER_ADDRESS: [whole(1, 1_000_000), "refusalsPerAddressMax"],
  FLOWCALL_CONNECTION_TURN_MS: [whole(1, 1_000), "connectionTurnMs"],
  FLOWCALL_KEYLESS_REQUESTS: [whole(1, 1_000_000), "keylessRequestsMax"],
  FLOWCALL_KEYLESS_REQUESTS_PER_ADDRESS: [whole(1, 1_000_000), "keylessRequestsPerAddressMax"],
  FLOWCALL_OPEN_STREAMS: [whole(0, 1_000_000), "openStreamsMax"],
  FLOWCALL_OPEN_STREAMS_PER_ADDRESS: [whole(0, 1_000_000), "openStreamsPerAddressMax"],
} as const satisfies Record<string, Setting<keyof ServerLimits>>;

type Values<Settings> = { readonly [Name in keyof Settings]?: number | undefined };

/** How the variables of limits are read, for the schema of all variables. */
export const limitVariables = variablesOf(settings);
export const serverLimitVariables = variablesOf(serverSettings);

/** The defaults, with what the variables set in their place. */
export function limitsOf(values: Values<typeof settings>): Limits {
  return withSettings(defaultLimits, settings, values);
}

export function serverLimitsOf(values: Values<typeof serverSettings>): ServerLimits {
  return withSettings(defaultServerLimits, serverSettings, values);
}

/** A whole number in decimal digits; nothing else that `Number` would read. */
export function whole(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));
}

/** A number of hours or days, as 36h or 30d, in milliseconds. */
function duration(minMs: number, maxMs: number) {
  const [min, max] = [minMs / hourMs, maxMs / hourMs];
  return z
    .string()
    .regex(/^\d{1,6}[hd]$/, "must be a number of hours or days, as 36h or 30d")
    .transform((text) => Number.parseInt(text, 10) * (text.endsWith("d") ? dayMs : hourMs))
    .pipe(z.number().min(minMs, `must be at least ${min}h`).max(maxMs, `must be at most ${max}h`));
}

function variablesOf<Settings extends Record<string, Setting<string>>>(table: Settings) {
  const variables = Object.entries(table).map(([name, [value]]) => [name, value.optional()]);
  // Object.fromEntries forgets the names.
  return Object.fromEntries(variables) as { [Name in keyof Settings]: z.ZodOptional<ReturnType<typeof whole>> };
}

function withSettings<Result extends object>(
  defaults: Result,
  table: Record<string, Setting<string>>,
  values: Readonly<Record<string, number | undefined>>,
): Result {
  // Each path of a table is a number of the limits, by the tables' types.
  const result = { ...defaults } as Record<string, unknown>;
  for (const [variable, [, ...paths]] of Object.entries(table)) {
    const value = values[variable];
    if (value === undefined) continue;
    for (const path of paths) {
      const [name = "", part] = path.split(".");
      result[name] = part === undefined ? value : { ...(result[name] as object), [part]: value };
    }
  }
  return result as Result;
}
