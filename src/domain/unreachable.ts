/** Ends a switch over a union, so that a new member does not compile until every switch handles it. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}
