import { RequestError } from "../../domain/request-error.ts";
import type { ServerLimits } from "../limits/server-limits.ts";

/** The calls of an environment, and those of the process. */
export type CallUse = {
  readonly active: number;
  /** How many may be active. */
  readonly activeMax: number;
  readonly calls: number;
};

/** The error of a call that is one too many. */
export function callRefusal({ active, activeMax, calls }: CallUse, limits: ServerLimits): RequestError {
  const { callsMax, environmentWaitingMax } = limits;
  if (calls >= callsMax) {
    const metadata = { limit: "calls", value: String(callsMax) };
    const message = `${callsMax} calls are in flight on this process (limit calls). Try again.`;
    return new RequestError("SERVER_BUSY", message, { metadata, retryAfterSeconds: 1 });
  }
  return active >= activeMax
    ? tooManyCalls("environment_calls", activeMax)
    : tooManyCalls("environment_waiting", environmentWaitingMax);
}

/** Memory in use for bodies and replies, in bytes. */
export type MemoryUse = {
  readonly total: number;
  /** The use of the key of the request, and of its organisation; undefined for a request without a key. */
  readonly owner: { readonly organization: number; readonly key: number } | undefined;
  readonly connection: number;
  /** The use of the request itself. */
  readonly own: number;
};

/** The error of a request that may not use so many more bytes; undefined if it may. */
export function memoryRefusal(use: MemoryUse, bytes: number, limits: ServerLimits): RequestError | undefined {
  const { bodyBytesMax, keyBodyBytesMax, connectionBodyBytesMax } = limits;
  const { total, owner, connection, own } = use;
  if (total + bytes > bodyBytesMax) {
    return processFull(bodyBytesMax);
  }
  if (owner === undefined) {
    return undefined;
  }
  const free = bodyBytesMax - total;
  if (owner.organization + bytes > free) {
    return tooManyBytes("organization_body_bytes", free);
  }
  // A request that is the only one may be as large as a body may be.
  const exceeds = (used: number, max: number) => used > own && used + bytes > max;
  if (exceeds(owner.key, keyBodyBytesMax)) {
    return tooManyBytes("key_body_bytes", keyBodyBytesMax);
  }
  return exceeds(connection, connectionBodyBytesMax)
    ? tooManyBytes("connection_body_bytes", connectionBodyBytesMax)
    : undefined;
}

/** A request is refused before it is handled if less than this share of the memory that it may use is left. */
const freeShareMin = 1 / 16;

/** The error of a request that would be handled in vain, because its reply would not fit; undefined if it may start. */
export function startRefusal({ total, owner, connection }: MemoryUse, limits: ServerLimits): RequestError | undefined {
  const { bodyBytesMax, keyBodyBytesMax, connectionBodyBytesMax } = limits;
  const isNearlyFull = (used: number, max: number) => used > max * (1 - freeShareMin);
  if (isNearlyFull(total, bodyBytesMax)) {
    return processFull(bodyBytesMax);
  }
  if (owner === undefined) {
    return undefined;
  }
  const free = bodyBytesMax - total;
  if (isNearlyFull(owner.organization, free)) {
    return tooManyBytes("organization_body_bytes", free);
  }
  if (isNearlyFull(owner.key, keyBodyBytesMax)) {
    return tooManyBytes("key_body_bytes", keyBodyBytesMax);
  }
  return isNearlyFull(connection, connectionBodyBytesMax)
    ? tooManyBytes("connection_body_bytes", connectionBodyBytesMax)
    : undefined;
}

function tooManyCalls(limit: string, max: number): RequestError {
  const message = `${max} calls of this environment are in flight, the most that is allowed (limit ${limit}). Try again.`;
  return new RequestError("TOO_MANY_REQUESTS", message, {
    metadata: { limit, value: String(max) },
    retryAfterSeconds: 1,
  });
}

function tooManyBytes(limit: string, max: number): RequestError {
  return new RequestError(
    "TOO_MANY_REQUESTS",
    `Your requests in flight hold ${max} bytes of bodies and of unread replies, the most that is allowed (limit ${limit}). Send fewer at a time.`,
    { metadata: { limit, value: String(max) }, retryAfterSeconds: 1 },
  );
}

function processFull(max: number): RequestError {
  return new RequestError(
    "SERVER_BUSY",
    `The server holds ${max} bytes of bodies already (limit body_bytes). Try again.`,
    { metadata: { limit: "body_bytes", value: String(max) }, retryAfterSeconds: 1 },
  );
}
