/** A preference of the name, its value, and what follows it up to the next comma; quoted strings may hold commas. */
const preference = /\s*([^\s=;,"]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?((?:"(?:[^"\\]|\\.)*"|[^,"])*)(?:,|$)/gy;

/**
 * The value that the `Prefer` header gives a preference (RFC 7240, section 2): of one that is given twice the first
 * counts, one without a value has the empty text, and what cannot be read is no preference.
 */
export function preferenceOf(values: readonly string[], name: string): string | undefined {
  for (const value of values) {
    for (const [, found = "", text = ""] of value.matchAll(preference)) {
      if (found.toLowerCase() === name) return unquoted(text) ?? text;
    }
  }
  return undefined;
}

/** What stands inside a quoted string (RFC 9651, section 3.3.3); undefined where the text is none. */
export function unquoted(text: string): string | undefined {
  const [, inside] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text) ?? [];
  return inside?.replace(/\\(["\\])/g, "$1");
}
