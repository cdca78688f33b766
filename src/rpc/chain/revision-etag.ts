import { entityTags } from "../../domain/http/entity-tags.ts";
import { RequestError } from "../../domain/request-error.ts";

/** How a state is named that callers may make a change from. */
export function etagOf(revision: number): string {
  return `"${revision}"`;
}

/** What a caller writes in place of an ETag who makes something only where there is none; `If-None-Match: *` over REST. */
export const noneYet = "none";

/**
 * The revisions that a caller expects one of, for a spread; none of them where there must be nothing yet. Takes one bare
 * or quoted, or a list as `If-Match` has it (RFC 9110, section 13.1.1): compared strongly, so that a weak one is none.
 * Refuses with ETAG_MISMATCH a text in which etagOf can have made nothing.
 */
export function expectedOf({ etag }: { readonly etag?: string | undefined }): {
  readonly expectedRevisions?: readonly number[];
} {
  if (etag === undefined) return {};
  if (etag === noneYet) return { expectedRevisions: [] };
  const tags = /^\d+$/.test(etag) ? [{ isWeak: false, opaque: `"${etag}"` }] : (entityTags(etag) ?? []);
  const revisions = tags.flatMap(({ isWeak, opaque }) =>
    !isWeak && /^"\d{1,9}"$/.test(opaque) ? [Number(opaque.slice(1, -1))] : [],
  );
  if (revisions.length === 0) throw staleEtag(etag);
  return { expectedRevisions: revisions };
}

export function staleEtag(etag: string): RequestError {
  return new RequestError("ETAG_MISMATCH", `It is no longer in the state ${etag}. Read it again and repeat.`, {
    metadata: { etag },
  });
}
