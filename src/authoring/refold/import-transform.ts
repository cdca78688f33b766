import type { JsonObject } from "@bufbuild/protobuf";
import { type NodeText, writtenPiece } from "./node-text.ts";
import { isEmpty, textOf } from "./source-value.ts";
import { isJsonWithTemplates, loneTemplate, type TextPiece } from "./text-pieces.ts";

/**
 * A query. Templates are bound as variables here, where the original pasted their text: one that stands beside an operator
 * is a number where its text is one, and one that is merged is nothing where it is null.
 *
 * @param isReadAsResult whether a later node reads the output as `result`
 */
export function importTransform(input: JsonObject, text: NodeText, isReadAsResult: boolean): JsonObject {
  const query = queryOf(text.pieces(input["query"], "input_data.query"));
  if (!isEmpty(input["type"]) || !isEmpty(input["format"])) {
    const original = `${textOf(input["type"])} ${textOf(input["format"])}`.trim();
    const message = "How the result is formatted is not imported; write it into the query.";
    text.issues.warn("SETTING_NOT_IMPORTED", message, text.place("input_data.type", original));
  }
  const { expression, template } = inputOf(input, text);
  const whole = expression === undefined ? query : `(${expression}).(${query})`;
  return {
    query: isReadAsResult ? withResult(whole) : whole,
    ...(template !== undefined && { input: template }),
  };
}

/** What `$` is: a template, or JSON that becomes part of the query. */
function inputOf(input: JsonObject, text: NodeText): { readonly expression?: string; readonly template?: string } {
  const field = "input_data.input";
  if (isEmpty(input["input"])) {
    return {};
  }
  const pieces = text.pieces(input["input"], field);
  if (loneTemplate(pieces) !== undefined) {
    return { template: pieces.map(writtenPiece).join("").trim() };
  }
  if (isJsonWithTemplates(pieces)) {
    return { expression: jsonAsQuery(pieces) };
  }
  const message = "This is not JSON, whatever its templates give; the query gets it as text.";
  text.issues.warn("NOT_JSON", message, text.place(field, textOf(input["input"])));
  return { template: pieces.map(writtenPiece).join("") };
}

/** JSON as JSONata, which reads it as it is: only a template that fills a string stands for its value, and not for its text. */
function jsonAsQuery(pieces: readonly TextPiece[]): string {
  const isWhole = (index: number) =>
    pieces[index]?.kind === "template" &&
    /(?:^|[^\\])(?:\\\\)*"$/.test(textAt(pieces, index - 1)) &&
    textAt(pieces, index + 1).startsWith('"');
  return pieces
    .map((piece, index) => {
      const { kind, text } = piece;
      const start = kind === "text" && isWhole(index - 1) ? 1 : 0;
      const end = kind === "text" && isWhole(index + 1) ? text.length - 1 : text.length;
      return writtenPiece({ kind, text: text.slice(start, end) });
    })
    .join("");
}

function textAt(pieces: readonly TextPiece[], index: number): string {
  const piece = pieces[index];
  return piece?.kind === "text" ? piece.text : "";
}

function queryOf(pieces: readonly TextPiece[]): string {
  const isMerging = pieces.some(({ kind, text }) => kind === "text" && text.includes("$merge"));
  let quote = "";
  return pieces
    .map((piece, index) => {
      if (piece.kind === "text") {
        quote = quoteAtEnd(piece.text, quote);
        return writtenPiece(piece);
      }
      const [before, after] = [textAt(pieces, index - 1).trimEnd(), textAt(pieces, index + 1).trimStart()];
      const isOperand = /[-+*/%<>]$/.test(before) || /^[-+*/%<>]/.test(after);
      const isBare = quote === "" && !/^[.[(]/.test(after);
      if (isBare && isOperand) {
        return asOperand(piece.text);
      }
      return isBare && isMerging ? `($t := {{${piece.text}}}; $t = null ? () : $t)` : writtenPiece(piece);
    })
    .join("");
}

/** The value of a template as its pasted text would have been read: a number for the text of one, and no null. */
function asOperand(template: string): string {
  const number = "/^-?[0-9]+([.][0-9]+)?$/";
  return `($t := {{${template}}}; $t = null ? () : $type($t) = "string" and $contains($t, ${number}) ? $number($t) : $t)`;
}

/** Some nodes read the result itself, and others below `result`. */
function withResult(query: string): string {
  return `($r := (${query}); $type($r) = "object" ? $merge([$r, {"result": $r}]) : {"result": $r})`;
}

/** The quote that is open behind a part of a query; an empty text where none is. */
function quoteAtEnd(text: string, open: string): string {
  let quote = open;
  for (let index = 0; index < text.length; index += 1) {
    const letter = text[index] ?? "";
    if (letter === "\\" && quote !== "") {
      index += 1;
    } else if (letter === quote) {
      quote = "";
    } else if (quote === "" && (letter === '"' || letter === "'" || letter === "`")) {
      quote = letter;
    }
  }
  return quote;
}
