import { RequestError } from "../domain/request-error.ts";

/** How a state is named that callers may make a change from. */
export function etagOf(revision: number): string {
  return `"${revision}"`;
}

/** The revision that a caller expects, for a spread. Refuses with ETAG_MISMATCH a text that etagOf cannot have made. */
export function expectedOf({ etag }: { readonly etag?: string | undefined }): { readonly expectedRevision?: number } {
  if (etag === undefined) return {};
  const digits = /^"?(\d{1,9})"?$/.exec(etag)?.[1];
  if (digits === undefined) throw staleEtag(etag);
  return { expectedRevision: Number(digits) };
}

export function staleEtag(etag: string): RequestError {
  return new RequestError("ETAG_MISMATCH", `It is no longer in the state ${etag}. Read it again and repeat.`, {
    metadata: { etag },
  });
}
