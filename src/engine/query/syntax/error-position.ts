import { lineAndColumnAt } from "../../errors/line-and-column.ts";

/** From a place in the query that runs on, both texts go side by side. */
export type Mark = { readonly written: number; readonly source: number };

/** A query as its author wrote it, and where parts of what runs stand in it. */
export type QuerySource = { readonly text: string; readonly marks: readonly Mark[] };

/**
 * Where in a query an error of JSONata's is, from 0: where the token begins that it names. JSONata gives the place behind that
 * token. Undefined where it gives none, or one that is of another evaluation, as it keeps places with the functions that
 * all of them share.
 */
export function placeOfError(error: unknown, query: string): number | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { code, position, token } = error as { code?: unknown; position?: unknown; token?: unknown };
  // What an author throws with $error and $assert are words for whoever calls.
  if (code === "D3137" || code === "D3141") return undefined;
  if (typeof position !== "number" || position < 0 || position > query.length) return undefined;
  const name = typeof token === "string" || typeof token === "number" ? String(token) : "";
  if (name === "" || name === "(end)") return Math.max(0, position - 1);
  const start = query.lastIndexOf(name, position);
  // A bracket, a quote or a blank may be between.
  if (start < 0 || position - start - name.length > 2) return undefined;
  return query[start - 1] === "$" ? start - 1 : start;
}

/** The line and the column of a place, both from 1, in the author's text. */
export function lineAndColumn({ text, marks }: QuerySource, place: number): string {
  const next = marks.findIndex(({ written }) => written > place);
  const { written, source } = marks.at(next < 0 ? marks.length - 1 : next - 1) ?? { written: 0, source: 0 };
  const offset = Math.min(source + place - written, marks[next]?.source ?? text.length);
  return lineAndColumnAt(text, offset);
}
