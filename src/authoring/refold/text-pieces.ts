import { readBraces, templateEnd } from "../../engine/templates/template-syntax.ts";

/** A part of a text: literal, or the inside of a template. */
export type TextPiece = { readonly kind: "text" | "template"; readonly text: string };

/** Splits a text at its templates. Braces that open a template without an end are literal. */
export function piecesOf(text: string): { readonly pieces: readonly TextPiece[]; readonly isUnclosed: boolean } {
  const pieces: TextPiece[] = [];
  let literal = "";
  let position = 0;
  let isUnclosed = false;
  // Behind it no template has an end: looking for one from each brace would take quadratic time.
  const lastEnd = text.lastIndexOf("}}");
  while (position < text.length) {
    const open = text.indexOf("{", position);
    if (open === -1) {
      literal += text.slice(position);
      break;
    }
    const braces = readBraces(text, open);
    const close = braces.opensTemplate && braces.end < lastEnd ? templateEnd(text, braces.end) : -1;
    literal += text.slice(position, open) + braces.text;
    position = braces.end;
    if (braces.opensTemplate && close === -1) {
      isUnclosed = true;
      literal += "{{";
      position += 2;
    } else if (braces.opensTemplate) {
      pieces.push(
        { kind: "text", text: literal },
        { kind: "template", text: text.slice(braces.end + 2, close).trim() },
      );
      literal = "";
      position = close + 2;
    }
  }
  pieces.push({ kind: "text", text: literal });
  return { pieces: pieces.filter((piece) => piece.kind === "template" || piece.text !== ""), isUnclosed };
}

/** Writes a literal so that it is read as one. */
export function literalText(text: string): string {
  return text.replaceAll("{{", "{{{{");
}

/** The template that a text consists of, blanks around it left out; undefined for any other text. */
export function loneTemplate(pieces: readonly TextPiece[]): string | undefined {
  const [only, ...others] = pieces.filter(({ kind, text }) => kind === "template" || text.trim() !== "");
  return only?.kind === "template" && others.length === 0 ? only.text : undefined;
}

/**
 * Whether a text with templates is JSON: with a word for each template in a string, and a value for each that stands
 * outside of one.
 */
export function isJsonWithTemplates(pieces: readonly TextPiece[]): boolean {
  let isInString = false;
  let json = "";
  for (const { kind, text } of pieces) {
    if (kind === "template") {
      json += isInString ? "x" : "null";
    } else {
      json += text;
      isInString = endsInString(text, isInString);
    }
  }
  try {
    JSON.parse(json);
    return true;
  } catch {
    return false;
  }
}

/** Whether the end of a part of JSON is inside of a string. */
export function endsInString(text: string, isInString: boolean): boolean {
  let isInside = isInString;
  for (let index = 0; index < text.length; index += 1) {
    if (text[index] === "\\" && isInside) {
      index += 1;
    } else if (text[index] === '"') {
      isInside = !isInside;
    }
  }
  return isInside;
}
