const pageSizeDefault = 50;

type Request = { readonly pageSize?: number | undefined; readonly pageToken?: string | undefined };

/** The page that a request for a list asks for. */
export function pageOf({ pageSize = pageSizeDefault, pageToken }: Request) {
  return { pageSize, ...(pageToken !== undefined && { pageToken }) };
}
