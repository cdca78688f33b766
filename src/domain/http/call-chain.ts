/*
 * Loop detection by the header CDN-Loop (RFC 8586). A workflow that calls its own URL would run for ever, and one that calls
 * it twice would fill the queue within minutes.
 *
 * Each HTTP node sends the header with one entry more than its own execution was called with, and each call is checked for
 * the number of entries. Authors can neither set nor remove it. A service in between that drops it begins a new chain.
 */

export const chainHeader = "cdn-loop";

const word = "flowcall";

/** The number of executions that led to a request, by its header. Entries of other services do not count. */
export function chainLength(value: string | undefined): number {
  if (value === undefined) {
    return 0;
  }
  return value.split(",").filter((entry) => entry.split(";", 1)[0]?.trim().toLowerCase() === word).length;
}

/** The value of the header for a number of executions. */
export function chainText(length: number): string {
  return length === 1 ? word : Array.from({ length }, () => word).join(", ");
}
