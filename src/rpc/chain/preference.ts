import { parseDictionary } from "structured-headers";

/**
 * The value of a preference in the `Prefer` header (RFC 7240, section 2). Where it is given twice, the first counts; without
 * a value it is the empty text; a malformed one is ignored, and the others count. Takes time linear in the length.
 */
export function preferenceOf(values: readonly string[], name: string): string | undefined {
  for (const member of values.flatMap(membersOf)) {
    const equals = member.indexOf("=");
    const end = member.indexOf(";");
    const isValued = equals >= 0 && (end < 0 || equals < end);
    const found = member.slice(0, isValued ? equals : end < 0 ? undefined : end).trim();
    if (found.toLowerCase() !== name) {
      continue;
    }
    const value = isValued ? readValue(member.slice(equals + 1).trim()) : "";
    if (value !== undefined) {
      return value;
    }
  }
  return undefined;
}

/** The members of a list, split at the commas outside of quoted strings. */
function membersOf(list: string): readonly string[] {
  const members: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let position = 0; position < list.length; position += 1) {
    const next = list[position];
    if (isQuoted && next === "\\") {
      position += 1;
    } else if (next === '"') {
      isQuoted = !isQuoted;
    } else if (next === "," && !isQuoted) {
      members.push(list.slice(start, position));
      start = position + 1;
    }
  }
  members.push(list.slice(start));
  return members;
}

/**
 * A value in the syntax of a dictionary of RFC 9651. An integer has at most 15 digits there, but any number of digits in
 * RFC 7240.
 */
function readValue(text: string): string | undefined {
  const [, digits] = /^(\d{16,})[\t ]*(?:;|$)/.exec(text) ?? [];
  if (digits !== undefined) {
    return digits;
  }
  try {
    const [value] = parseDictionary(`value=${text}`).get("value") ?? [];
    return value === undefined || Array.isArray(value) ? undefined : String(value);
  } catch {
    return undefined;
  }
}

/** The content of a quoted string (RFC 9651, section 3.3.3); undefined where the text is not quoted. */
export function unquoted(text: string): string | undefined {
  const [, inside] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text) ?? [];
  return inside?.replace(/\\(["\\])/g, "$1");
}
