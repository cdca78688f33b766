import { quotedEnd } from "../../domain/json/value-path.ts";

/** Whether a name looks like what other template languages compute: an operator between blanks, or a call. */
export function looksComputed(name: string): boolean {
  return /\s(?:[-+*/%&|=<>?]|&&|\|\||[=!<>]=|\?\?|\?:|~>)\s|[\w$]\(/.test(name);
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
