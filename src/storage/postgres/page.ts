import type { SqlBool } from "kysely";

/** The page of a list that is asked for (AIP-158). */
export type Page = { readonly pageSize: number; readonly pageToken?: string };

/** Cuts a page from rows of which one more was read than it holds: the extra row shows that there is a next page. */
export function cutPage<Row>(rows: readonly Row[], { pageSize }: Page, tokenOf: (last: Row) => string) {
  const page = rows.slice(0, pageSize);
  const last = page.at(-1);
  return { page, next: rows.length > pageSize && last !== undefined ? { nextPageToken: tokenOf(last) } : {} };
}

/** Rows that are scanned for one page, however few of them match the filter. */
export const lookedMax = 10_000;

/** Whether a scanned row matches the filter, and whether it is the last row that one page scans. */
type Looked = { readonly is_meant: SqlBool; readonly is_last: boolean };

/** The same for a scan with a filter. The last scanned row is among the rows even if it does not match: the next page goes on behind it. */
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
