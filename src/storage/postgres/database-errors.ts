import pg from "pg";

/**
 * Whether the database could not be reached, closed the connection, or did not answer in time. Then the outcome of a write
 * is unknown, and the same call may succeed later. Any other error of a store is a refusal or a bug.
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

/** Whether a statement exceeded `statement_timeout`: it may read too much, or the database is slow for all statements. */
export function isTimedOut(error: unknown): boolean {
  return error instanceof Error && (("code" in error && error.code === timedOutCode) || isTimedOut(error.cause));
}

const timedOutCode = "57014";

/** Whether a statement waited for a lock for longer than `lock_timeout`, or in a circle with others. */
export function isLockTimeout(error: unknown): boolean {
  return hasCode(error, lockCodes);
}

/** Whether an error has one of these codes, as SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
export function hasCode(error: unknown, codes: ReadonlySet<string>): boolean {
  return error instanceof Error && "code" in error && codes.has(String(error.code));
}

const lockCodes: ReadonlySet<string> = new Set(["55P03", "40P01"]);

/** The name of the constraint that a statement violated, if any. */
export function brokenConstraint(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.constraint : undefined;
}

const unavailableCodes: ReadonlySet<string> = new Set([
  // Postgres: a statement that exceeded its time, and a standby that does not accept writes yet.
  timedOutCode,
  "25006",
  // The operating system; ENOENT is a Unix socket without a server.
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

/** Errors that `pg` throws without a code. */
const clientMessages = [
  "Connection terminated",
  "Query read timeout",
  "timeout exceeded when trying to connect",
  "timeout expired",
  "Client has encountered a connection error",
  "Client was closed",
];
