// How a template's text is read: where it begins and ends, and the names on its way down.
//
//   path = name *( "." name / index / quoted )      index = "[" 1*DIGIT "]"      quoted = "['" name "']"
//
// A name is any text without dots. Brackets that hold neither an index nor a quoted name belong to it, as in `Price [EUR]`.
// Two quotes in a quoted name are one.

/** One name on the way down. What is quoted is a name whatever it looks like. */
export type PathPart = { readonly name: string; readonly isQuoted: boolean };

/** Reads a path. Undefined where it is none: with a name that is empty, or a quoted one without an end. */
export function readPath(text: string): readonly PathPart[] | undefined {
  const parts: PathPart[] = [];
  let name = "";
  let isOpen = true;
  const close = () => {
    const isName = isOpen && name.trim() !== "";
    if (isName) parts.push({ name, isQuoted: false });
    const isRead = isName || !isOpen;
    name = "";
    isOpen = false;
    return isRead;
  };
  let position = 0;
  while (position < text.length) {
    const bracket = readBracket(text, position);
    if (bracket === "malformed") return undefined;
    if (bracket !== undefined) {
      // Blanks before a bracket are no part of the name.
      name = name.trimEnd();
      if (!close()) return undefined;
      parts.push(bracket.part);
      position = bracket.end;
    } else if (text[position] === ".") {
      if (!close()) return undefined;
      isOpen = true;
      position += 1;
    } else {
      if (!isOpen) return undefined;
      name += text[position];
      position += 1;
    }
  }
  return close() ? parts : undefined;
}

/** Whether a name looks like what other template languages compute: an operator between blanks, or a call. */
export function looksComputed(name: string): boolean {
  return /\s(?:[-+*/%&|=<>?]|&&|\|\||[=!<>]=|\?\?|\?:|~>)\s|[\w$]\(/.test(name);
}

type Bracket = { readonly part: PathPart; readonly end: number };

const indexOrQuote = /\[(?:(0|[1-9]\d*)\](?=[.[]|\s*$)|(['"]))/y;

function readBracket(text: string, position: number): Bracket | "malformed" | undefined {
  if (text[position] !== "[") return undefined;
  indexOrQuote.lastIndex = position;
  const match = indexOrQuote.exec(text);
  if (match === null) return undefined;
  const [whole, index, quote] = match;
  if (index !== undefined) return { part: { name: index, isQuoted: true }, end: position + whole.length };
  const end = quote === "'" ? quotedEnd(text, position) : undefined;
  if (end === undefined) return "malformed";
  return { part: { name: text.slice(position + 2, end - 2).replaceAll("''", "'"), isQuoted: true }, end };
}

/** Behind the `']` of the quoted name that opens at a position; undefined where it has no end. */
function quotedEnd(text: string, open: number): number | undefined {
  for (let quote = text.indexOf("'", open + 2); quote >= 0; quote = text.indexOf("'", quote + 1)) {
    if (text[quote + 1] === "'") quote += 1;
    else return text[quote + 1] === "]" ? quote + 2 : undefined;
  }
  return undefined;
}

/** Where the path of the template that opens at a position ends: the first `}}` outside of quoted names, or -1. */
export function templateEnd(text: string, open: number): number {
  let from = open + 2;
  for (;;) {
    const close = text.indexOf("}}", from);
    if (close < 0) return close;
    // Looked for in what may be the path alone, so that a text of many templates is read once.
    const bracket = text.slice(from, close).indexOf("['");
    const end = bracket < 0 ? undefined : quotedEnd(text, from + bracket);
    // Without an end it is no quoted name, and the path is refused for that.
    if (end === undefined) return close;
    from = end;
  }
}

/** What a run of opening braces says. */
export type Braces = {
  /** What it writes: for each four braces two, and one for a single one that is left. */
  readonly text: string;
  /** Where it ends, or the template begins behind it. */
  readonly end: number;
  readonly opensTemplate: boolean;
};

/** Reads the run of opening braces at a position. Each four from the left write two; two that are left open a template. */
export function readBraces(text: string, position: number): Braces {
  let length = 0;
  while (text[position + length] === "{") length += 1;
  const left = length % 4;
  const opensTemplate = left >= 2;
  return {
    text: "{{".repeat(Math.floor(length / 4)) + (left % 2 === 1 ? "{" : ""),
    end: position + length - (opensTemplate ? 2 : 0),
    opensTemplate,
  };
}
