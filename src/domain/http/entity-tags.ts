/** An entity tag (RFC 9110, section 8.8.3). */
export type EntityTag = {
  readonly isWeak: boolean;
  /** The opaque tag, with its quotes. */
  readonly opaque: string;
};

/**
 * The tags of an `If-Match` or `If-None-Match`; undefined where the list is malformed. The caller handles a lone `*`. Takes
 * time linear in the length.
 *
 *     If-Match   = "*" / #entity-tag
 *     entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE
 *     etagc      = %x21 / %x23-7E / obs-text    ; a comma too, and no escapes
 *     #element   = [ element ] *( OWS "," OWS [ element ] )
 */
export function entityTags(text: string): readonly EntityTag[] | undefined {
  const tags: EntityTag[] = [];
  let position = 0;
  for (;;) {
    while (text[position] === " " || text[position] === "\t" || text[position] === ",") {
      position += 1;
    }
    if (position === text.length) {
      return tags;
    }
    const isWeak = text.startsWith("W/", position);
    const start = isWeak ? position + 2 : position;
    const end = text[start] === '"' ? text.indexOf('"', start + 1) : -1;
    const opaque = text.slice(start, end + 1);
    if (end < 0 || !/^"[\x21\x23-\x7e\x80-\xff]*"$/.test(opaque)) {
      return undefined;
    }
    tags.push({ isWeak, opaque });
    position = end + 1;
    while (text[position] === " " || text[position] === "\t") {
      position += 1;
    }
    if (position < text.length && text[position] !== ",") {
      return undefined;
    }
  }
}

/** Whether an `If-None-Match` lists a tag, or is `*`, by weak comparison (RFC 9110, section 13.1.2). */
export function namesTag(values: readonly string[], etag: string): boolean {
  const text = values.join(",");
  return text.trim() === "*" || (entityTags(text) ?? []).some(({ opaque }) => opaque === etag);
}
