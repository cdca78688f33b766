import { RequestError } from "../../domain/request-error.ts";

const queues = {
  queue: " in all",
  organization_queue: " of this organisation",
  environment_queue: " in this environment",
  account_queue: " for this linked account",
} as const;

export type QueueLimit = keyof typeof queues;

export function queueFull(limit: QueueLimit, max: number): RequestError {
  const message = `${max} executions are queued already${queues[limit]} (limit ${limit}). Try again later.`;
  // Only the limit of the whole queue is reached through no fault of this caller.
  return new RequestError(limit === "queue" ? "SERVER_BUSY" : "QUEUE_FULL", message, {
    metadata: { limit, value: String(max) },
    retryAfterSeconds: 1,
  });
}

/** @param retryAfterSeconds the time until the day ends */
export function dailyQuotaUsed(max: number, retryAfterSeconds: number): RequestError {
  const limit = "environment_day_bytes";
  const message =
    `The payloads of executions in this environment may have ${max} bytes a day (limit ${limit}), and today's leave no room ` +
    "for this one. The next day begins at 00:00 UTC.";
  return new RequestError("DAY_BYTES_USED", message, { metadata: { limit, value: String(max) }, retryAfterSeconds });
}
