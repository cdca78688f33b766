import { parseDictionary } from "structured-headers";

/**
 * The value that the `Prefer` header gives a preference (RFC 7240, section 2): of one that is given twice the first
 * counts, one without a value has the empty text, and one that cannot be read is ignored alone. Takes time linear in the
 * header's length.
 */
export function preferenceOf(values: readonly string[], name: string): string | undefined {
  for (const member of values.flatMap(membersOf)) {
    const equals = member.indexOf("=");
    const end = member.indexOf(";");
    const isValued = equals >= 0 && (end < 0 || equals < end);
    const found = member.slice(0, isValued ? equals : end < 0 ? undefined : end).trim();
    if (found.toLowerCase() !== name) continue;
    const value = isValued ? readValue(member.slice(equals + 1).trim()) : "";
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The members of a list, cut at the commas that stand outside of quoted strings. */
function membersOf(list: string): readonly string[] {
  const members: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let position = 0; position < list.length; position += 1) {
    const next = list[position];
    if (isQuoted && next === "\\") position += 1;
    else if (next === '"') isQuoted = !isQuoted;
    else if (next === "," && !isQuoted) {
      members.push(list.slice(start, position));
      start = position + 1;
    }
  }
  members.push(list.slice(start));
  return members;
}

/**
 * A value as RFC 9651 writes it in a dictionary, whose keys are in lower case and have no blanks around the equals sign.
 * Integers there have 15 digits; in RFC 7240, as any seconds of HTTP, they have as many as one likes.
 */
function readValue(text: string): string | undefined {
  const [, digits] = /^(\d{16,})[\t ]*(?:;|$)/.exec(text) ?? [];
  if (digits !== undefined) return digits;
  try {
    const [value] = parseDictionary(`value=${text}`).get("value") ?? [];
    return value === undefined || Array.isArray(value) ? undefined : String(value);
  } catch {
    return undefined;
  }
}

/** What stands inside a quoted string (RFC 9651, section 3.3.3); undefined where the text is none. */
export function unquoted(text: string): string | undefined {
  const [, inside] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text) ?? [];
  return inside?.replace(/\\(["\\])/g, "$1");
}
