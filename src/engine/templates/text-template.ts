import type { JsonValue } from "@bufbuild/protobuf";
import type { Field } from "./field.ts";
import type { Reference, Template } from "./reference.ts";
import { readBraces, templateEnd } from "./template-syntax.ts";

/** A piece of a text: literal characters or a template. */
export type Piece = string | Reference;

/** Compiles a text with templates. Strings are inserted as they are, other values as JSON. */
export function compileText(text: string, field: Field): Template<string> {
  return textTemplate(splitTemplates(text, field), field);
}

/** Compiles a text in which a lone template keeps the type of its value. Blanks around it do not count. */
export function compileValue(text: string, field: Field): Template<JsonValue> {
  const pieces = splitTemplates(text, field);
  const lone = loneReference(pieces);
  return lone === undefined ? textTemplate(pieces, field) : loneTemplate(lone);
}

/** A compiled text with templates, and its reference if it is a lone template. */
export type CompiledInput = { readonly template: Template<JsonValue>; readonly reference?: Reference };

/** Compiles as `compileValue` does, and also gives the reference of a lone template. */
export function compileInput(text: string, field: Field): CompiledInput {
  const pieces = splitTemplates(text, field);
  const reference = loneReference(pieces);
  return reference === undefined
    ? { template: textTemplate(pieces, field) }
    : { template: loneTemplate(reference), reference };
}

/** The only template of a text that otherwise has nothing but blanks. */
export function loneReference(pieces: readonly Piece[]): Reference | undefined {
  const [only, more] = pieces.filter((piece) => typeof piece !== "string" || piece.trim() !== "");
  return more === undefined && typeof only === "object" ? only : undefined;
}

export function loneTemplate(reference: Reference): Template<JsonValue> {
  return { references: [reference], lone: reference, render: (scope) => scope.read(reference) ?? null };
}

export function textTemplate(pieces: readonly Piece[], field: Field): Template<string> {
  const references = pieces.filter((piece) => typeof piece !== "string");
  if (references.length === 0) {
    const constant = pieces.join("");
    return { references, render: () => constant };
  }
  return {
    references,
    render: (scope, texts = field.texts()) =>
      pieces
        .map((piece) => (typeof piece === "string" ? texts.take(piece) : texts.takeValue(scope.read(piece))))
        .join(""),
  };
}

/** Splits a text at its templates. Empty pieces are left out. */
export function splitTemplates(text: string, field: Field): readonly Piece[] {
  if (!field.isWithin(text, "textMax")) {
    return [];
  }
  const pieces: Piece[] = [];
  let written = "";
  let position = 0;
  while (position < text.length) {
    const open = text.indexOf("{{", position);
    if (open < 0) {
      break;
    }
    const braces = readBraces(text, open);
    written += text.slice(position, open) + braces.text;
    position = braces.end;
    if (!braces.opensTemplate) {
      continue;
    }
    const close = templateEnd(text, position);
    if (close < 0) {
      reportUnclosed(text.slice(position), field);
      break;
    }
    if (written !== "") {
      pieces.push(written);
    }
    written = "";
    pieces.push(field.reference(text.slice(position + 2, close)));
    position = close + 2;
  }
  written += text.slice(position);
  if (written !== "") {
    pieces.push(written);
  }
  return pieces;
}

/** Reports a template without its closing braces. */
export function reportUnclosed(rest: string, field: Field): void {
  const shown = rest.length > 40 ? `${rest.slice(0, 40)}…` : rest;
  field.error("TEMPLATE_MALFORMED", `The template that begins with "${shown}" has no end. Close it with "}}".`);
}
