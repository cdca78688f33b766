/** Ends a choice over a union: a new member does not compile until every choice has a branch for it. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}
