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
