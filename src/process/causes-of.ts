/** The messages of an error and of its causes, from the outside in. */
export function causesOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) {
    return [String(error)];
  }
  return [error.message, ...(error.cause === undefined ? [] : causesOf(error.cause))];
}
