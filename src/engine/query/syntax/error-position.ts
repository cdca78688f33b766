import { lineAndColumnAt } from "../../errors/line-and-column.ts";

/** A source map entry: from the offset `written` in the bound query, it runs in step with the author's text at `source`. */
export type Mark = { readonly written: number; readonly source: number };

/** A query as its author wrote it, and the source map of the bound query. */
export type QuerySource = { readonly text: string; readonly marks: readonly Mark[] };

/**
 * The offset in a query at which the token of a JSONata error begins. JSONata itself reports the position after that token.
 * Undefined where it reports none, or the position of another evaluation: it stores positions with functions that all share.
 */
export function errorOffset(error: unknown, query: string): number | undefined {
  if (typeof error !== "object" || error === null) {
    return undefined;
  }
  const { code, position, token } = error as { code?: unknown; position?: unknown; token?: unknown };
  // The message of $error and $assert is written by the author for the caller.
  if (code === "D3137" || code === "D3141") {
    return undefined;
  }
  if (typeof position !== "number" || position < 0 || position > query.length) {
    return undefined;
  }
  const name = typeof token === "string" || typeof token === "number" ? String(token) : "";
  if (name === "" || name === "(end)") {
    return Math.max(0, position - 1);
  }
  const start = query.lastIndexOf(name, position);
  // A bracket, a quote or a blank may stand between the token and the position.
  if (start < 0 || position - start - name.length > 2) {
    return undefined;
  }
  return query[start - 1] === "$" ? start - 1 : start;
}

/** The line and the column in the author's text, both from 1, of an offset in the bound query. */
export function lineAndColumn({ text, marks }: QuerySource, offset: number): string {
  const next = marks.findIndex(({ written }) => written > offset);
  const { written, source } = marks.at(next < 0 ? marks.length - 1 : next - 1) ?? { written: 0, source: 0 };
  return lineAndColumnAt(text, Math.min(source + offset - written, marks[next]?.source ?? text.length));
}
