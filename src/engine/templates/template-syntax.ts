import { quotedEnd } from "../../domain/json/value-path.ts";

/** Whether a name looks like an expression of another template language: it has an operator between blanks, or a call. */
export function looksComputed(name: string): boolean {
  return /\s(?:[-+*/%&|=<>?]|&&|\|\||[=!<>]=|\?\?|\?:|~>)\s|[\w$]\(/.test(name);
}

/** The end of the template that opens at a position: the first `}}` outside of quoted names, or -1. */
export function templateEnd(text: string, open: number): number {
  let from = open + 2;
  for (;;) {
    const close = text.indexOf("}}", from);
    if (close < 0) {
      return close;
    }
    // Only the part up to the braces is searched, so that a text of many templates takes linear time.
    const bracket = text.slice(from, close).indexOf("['");
    const end = bracket < 0 ? undefined : quotedEnd(text, from + bracket);
    // A quoted name without an end is a malformed path, which is reported later.
    if (end === undefined) {
      return close;
    }
    from = end;
  }
}

/** A parsed run of opening braces. */
export type Braces = {
  /** The literal braces: two for each four braces, and one for a single brace that is left. */
  readonly text: string;
  /** The position after the run, or that of the template that it opens. */
  readonly end: number;
  readonly opensTemplate: boolean;
};

/** Parses the run of opening braces at a position. `{{{{` stands for two literal braces; two that are left open a template. */
export function readBraces(text: string, position: number): Braces {
  let length = 0;
  while (text[position + length] === "{") {
    length += 1;
  }
  const left = length % 4;
  const opensTemplate = left >= 2;
  return {
    text: "{{".repeat(Math.floor(length / 4)) + (left % 2 === 1 ? "{" : ""),
    end: position + length - (opensTemplate ? 2 : 0),
    opensTemplate,
  };
}
