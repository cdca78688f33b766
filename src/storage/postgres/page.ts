import type { SqlBool } from "kysely";

/** Which page of a list: how many rows, and the token of the page before. */
export type Page = { readonly pageSize: number; readonly pageToken?: string };

/**
 * The rows of a page, of which one more was read than it holds, and for a spread the token of the next page, which is
 * absent on the last one.
 */
export function cutPage<Row>(rows: readonly Row[], { pageSize }: Page, tokenOf: (last: Row) => string) {
  const page = rows.slice(0, pageSize);
  const last = page.at(-1);
  return { page, next: rows.length > pageSize && last !== undefined ? { nextPageToken: tokenOf(last) } : {} };
}

/** Rows that are looked through for one page at most, however few of them are meant. */
export const lookedMax = 10_000;

/** Whether the list means a row that was looked at, and whether it is the last that one page looks at. */
type Looked = { readonly is_meant: SqlBool; readonly is_last: boolean };

/**
 * The same for rows that were looked through, of which the last that was looked at is there too, meant or not: the next
 * page goes on behind it.
 */
export function cutLooked<Row extends Looked>(
  rows: readonly Row[],
  { pageSize }: Page,
  tokenOf: (last: Row) => string,
) {
  const page = rows.slice(0, pageSize);
  const last = page.at(-1);
  const isMore = rows.length > pageSize || last?.is_last === true;
  return {
    page: page.filter((row) => row.is_meant),
    next: isMore && last !== undefined ? { nextPageToken: tokenOf(last) } : {},
  };
}
