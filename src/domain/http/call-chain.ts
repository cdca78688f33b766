/*
 * How long a chain of executions is of which each was called by the one before it. A workflow that calls its own URL
 * would go on for ever, and one that calls it twice would fill the queue within minutes.
 *
 * The chain travels in the header CDN-Loop (RFC 8586), which each HTTP node sends and each call is asked for: one word
 * for each execution of the chain. Authors can neither set it nor leave it out; a service in between that does not pass
 * it on begins a new chain.
 */

export const chainHeader = "cdn-loop";

const word = "flowcall";

/** How many executions led to a request, by the value of its header. Others than Flowcall stand there too. */
export function chainLength(value: string | undefined): number {
  if (value === undefined) return 0;
  return value.split(",").filter((entry) => entry.split(";", 1)[0]?.trim().toLowerCase() === word).length;
}

/** The value of the header behind so many executions. */
export function chainText(length: number): string {
  return Array.from({ length }, () => word).join(", ");
}
