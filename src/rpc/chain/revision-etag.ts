import { entityTags } from "../../domain/http/entity-tags.ts";
import { etagMismatch } from "../../domain/http/etag-mismatch.ts";

/** The entity tag of a revision, on which callers may make a change conditional (RFC 9110, section 13.1.1). */
export function etagOf(revision: number): string {
  return `"${revision}"`;
}

/** In place of an ETag: the change may only create. Over REST this is `If-None-Match: *`. */
export const noneYet = "none";

/**
 * The revisions of which a caller expects one, to be spread; an empty list where the change may only create. Takes one tag,
 * bare or quoted, or a list as in `If-Match` (RFC 9110, section 13.1.1), whose strong comparison ignores weak tags. Refuses
 * a text without any tag of ours (ETAG_MISMATCH).
 */
export function expectedOf({ etag }: { readonly etag?: string | undefined }): {
  readonly expectedRevisions?: readonly number[];
} {
  if (etag === undefined) {
    return {};
  }
  if (etag === noneYet) {
    return { expectedRevisions: [] };
  }
  const tags = /^\d+$/.test(etag) ? [{ isWeak: false, opaque: `"${etag}"` }] : (entityTags(etag) ?? []);
  const revisions = tags.flatMap(({ isWeak, opaque }) =>
    !isWeak && /^"\d{1,9}"$/.test(opaque) ? [Number(opaque.slice(1, -1))] : [],
  );
  if (revisions.length === 0) {
    throw etagMismatch({ etag });
  }
  return { expectedRevisions: revisions };
}
