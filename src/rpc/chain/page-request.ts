import type { Page } from "../../storage/postgres/page.ts";

const pageSizeDefault = 50;

type Request = { readonly pageSize?: number | undefined; readonly pageToken?: string | undefined };

/** The page that a request for a list asks for. */
export function pageOf({ pageSize = pageSizeDefault, pageToken }: Request): Page {
  return { pageSize, ...(pageToken !== undefined && { pageToken }) };
}

/** The token of the next page, to be spread into a reply. */
export function nextOf({ nextPageToken }: { readonly nextPageToken?: string }) {
  return nextPageToken === undefined ? {} : { nextPageToken };
}
