import pg from "pg";

/**
 * Whether the database could not be reached, went away, or did not answer in time: the outcome of a write is then
 * unknown, and the same call may succeed later. Everything else that a store throws is a refusal or a bug.
 */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) {
    return false;
  }
  const code = "code" in error ? String(error.code) : "";
  return (
    /^(08|53)|^57P0/.test(code) ||
    unavailableCodes.has(code) ||
    clientMessages.some((message) => error.message.startsWith(message)) ||
    isUnavailable(error.cause)
  );
}

/**
 * Whether a statement took longer than any may: of what it reads, that may be too much. Where the database itself is slow,
 * others take too long as well.
 */
export function isTimedOut(error: unknown): boolean {
  return error instanceof Error && (("code" in error && error.code === timedOutCode) || isTimedOut(error.cause));
}

const timedOutCode = "57014";

/** The name of the constraint that a statement broke, where it broke one. */
export function brokenConstraint(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.constraint : undefined;
}

const unavailableCodes: ReadonlySet<string> = new Set([
  // Of Postgres: a statement that was cancelled for its time, a standby that does not take writes yet.
  timedOutCode,
  "25006",
  // Of the operating system; ENOENT is a Unix socket whose server is not there.
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ENOENT",
]);

/** What `pg` throws without a code. */
const clientMessages = [
  "Connection terminated",
  "Query read timeout",
  "timeout exceeded when trying to connect",
  "timeout expired",
  "Client has encountered a connection error",
  "Client was closed",
];
