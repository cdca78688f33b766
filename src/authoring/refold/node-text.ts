import type { JsonValue } from "@bufbuild/protobuf";
import type { IssueList } from "./import-issue.ts";
import type { References } from "./references.ts";
import { plainOf, textOf } from "./source-value.ts";
import { isJsonWithTemplates, literalText, loneTemplate, piecesOf, type TextPiece } from "./text-pieces.ts";

/** A text of a definition is at most as long. */
export const textMax = 262_144;

/** The texts of one node, in our template language. */
export class NodeText {
  readonly nodeId: string;
  readonly #references: References;
  readonly issues: IssueList;

  constructor(nodeId: string, references: References, issues: IssueList) {
    this.nodeId = nodeId;
    this.#references = references;
    this.issues = issues;
  }

  get references(): References {
    return this.#references;
  }

  place(field: string, original?: string) {
    return { nodeId: this.nodeId, field, ...(original !== undefined && { original }) };
  }

  /** A text with its templates rewritten; any value that stood in its place as text. */
  of(value: JsonValue | undefined, field: string): string {
    return this.pieces(value, field).map(writtenPiece).join("");
  }

  /** The pieces of a text, with the templates rewritten. */
  pieces(value: JsonValue | undefined, field: string): readonly TextPiece[] {
    const text = this.#shortened(textOf(value), field);
    const { pieces, isUnclosed } = piecesOf(text);
    if (isUnclosed) {
      this.issues.warn(
        "TEMPLATE_UNCLOSED",
        "A template has no end; its braces are literal now.",
        this.place(field, text),
      );
    }
    return pieces.flatMap((piece): readonly TextPiece[] => {
      if (piece.kind === "text") {
        return [piece];
      }
      if (piece.text === "") {
        this.issues.warn("TEMPLATE_UNCLOSED", "An empty template is left out.", this.place(field, text));
        return [];
      }
      return [{ kind: "template", text: this.#references.rewrite(piece.text, this.place(field)) }];
    });
  }

  /** JSON text with templates; undefined, and an issue, where the text is none. */
  json(value: JsonValue | undefined, field: string): string | undefined {
    const text = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(plainOf(value));
    const pieces = this.pieces(text, field);
    if (isJsonWithTemplates(pieces)) {
      return pieces.map(writtenPiece).join("");
    }
    this.issues.warn(
      "NOT_JSON",
      "This is not JSON, whatever its templates give; it is sent as text.",
      this.place(field, text),
    );
    return undefined;
  }

  /** A lone template of ours, as `{{event.body}}`; undefined for any other text. */
  lone(value: JsonValue | undefined, field: string): string | undefined {
    const lone = loneTemplate(this.pieces(value, field));
    return lone === undefined ? undefined : `{{${lone}}}`;
  }

  #shortened(text: string, field: string): string {
    if (text.length <= textMax) {
      return text;
    }
    this.issues.warn(
      "TEXT_SHORTENED",
      `A text has at most ${textMax} characters; what is behind them is left out.`,
      this.place(field),
    );
    return text.slice(0, textMax).toWellFormed();
  }
}

export function writtenPiece({ kind, text }: TextPiece): string {
  return kind === "template" ? `{{${text}}}` : literalText(text);
}
