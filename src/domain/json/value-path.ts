// Parses a path into a JSON value: the names from the root down.
//
//   path = name *( "." name / index / quoted )      index = "[" 1*DIGIT "]"      quoted = "['" name "']"
//
// A name is any text without dots. Brackets that hold neither an index nor a quoted name belong to it, as in `Price [EUR]`.
// Two quotes in a quoted name are one.

/** One name of a path. A quoted `*` is a plain name and no wildcard. */
export type PathPart = { readonly name: string; readonly isQuoted: boolean };

/** Parses a path; undefined where a name is empty, or a quoted one has no end. */
export function readPath(text: string): readonly PathPart[] | undefined {
  const parts: PathPart[] = [];
  let name = "";
  let isOpen = true;
  const close = () => {
    const isName = isOpen && name.trim() !== "";
    if (isName) {
      parts.push({ name, isQuoted: false });
    }
    const isRead = isName || !isOpen;
    name = "";
    isOpen = false;
    return isRead;
  };
  let position = 0;
  while (position < text.length) {
    const bracket = readBracket(text, position);
    if (bracket === "malformed") {
      return undefined;
    }
    if (bracket !== undefined) {
      // Blanks before a bracket are no part of the name.
      name = name.trimEnd();
      if (!close()) {
        return undefined;
      }
      parts.push(bracket.part);
      position = bracket.end;
    } else if (text[position] === ".") {
      if (!close()) {
        return undefined;
      }
      isOpen = true;
      position += 1;
    } else {
      if (!isOpen) {
        return undefined;
      }
      name += text[position];
      position += 1;
    }
  }
  return close() ? parts : undefined;
}

/** The names of a path as releases without quoted names read it, for what was published then: dots are the only separators. */
export function readOldPath(text: string): readonly PathPart[] {
  return text.split(".").map((name) => ({ name, isQuoted: false }));
}

type Bracket = { readonly part: PathPart; readonly end: number };

const indexOrQuote = /\[(?:(0|[1-9]\d*)\](?=[.[]|\s*$)|(['"]))/y;

function readBracket(text: string, position: number): Bracket | "malformed" | undefined {
  if (text[position] !== "[") {
    return undefined;
  }
  indexOrQuote.lastIndex = position;
  const match = indexOrQuote.exec(text);
  if (match === null) {
    return undefined;
  }
  const [whole, index, quote] = match;
  if (index !== undefined) {
    return { part: { name: index, isQuoted: true }, end: position + whole.length };
  }
  const end = quote === "'" ? quotedEnd(text, position) : undefined;
  if (end === undefined) {
    return "malformed";
  }
  return { part: { name: text.slice(position + 2, end - 2).replaceAll("''", "'"), isQuoted: true }, end };
}

/** The position behind the `']` that closes a quoted name; undefined where it has no end. */
export function quotedEnd(text: string, open: number): number | undefined {
  for (let quote = text.indexOf("'", open + 2); quote >= 0; quote = text.indexOf("'", quote + 1)) {
    if (text[quote + 1] === "'") {
      quote += 1;
    } else {
      return text[quote + 1] === "]" ? quote + 2 : undefined;
    }
  }
  return undefined;
}
