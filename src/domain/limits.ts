import { executionLimits } from "./limits/execution-limits.ts";
import { jsonLimits } from "./limits/json-limits.ts";
import { type LimitValues, mapLimits } from "./limits/limit.ts";
import { tenantLimits } from "./limits/tenant-limits.ts";

/**
 * Every limit of the service but those of its sockets (`server-limits.ts`). A new limit needs a row of a table and
 * nothing else: its type, its default, its environment variable and its line in docs/settings.md follow.
 */
export const limitTable = { ...jsonLimits, ...executionLimits, ...tenantLimits } as const;

export type Limits = LimitValues<typeof limitTable>;

/** The limits of one JSON value, counted on its text. */
export type JsonLimits = Limits["payload"];

export const defaultLimits: Limits = mapLimits(limitTable, (limit) => limit.default);
