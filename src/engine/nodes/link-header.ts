/** A link: its target as the server wrote it, and its parameters by lower-case name. The first of each name counts. */
export type WebLink = { readonly target: string; readonly parameters: ReadonlyMap<string, string> };

// Section 3 of RFC 8288. Blanks may stand around each sign, a parameter may have no value, and an element may be empty:
//
//   Link = #link-value      link-value = "<" URI-Reference ">" *( ";" link-param )
//   link-param = token [ "=" ( token / quoted-string ) ]
const gap = /[\t ,]*/y;
const target = /<([^>]*)>/y;
const parameter = /[\t ]*;[\t ]*(?:([^\t =;,]+)[\t ]*(?:=[\t ]*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|(?![\t "])([^;,]*)))?)?/y;
const separator = /[\t ]*(?:,|$)/y;

/**
 * Parses a `Link` header by the algorithm of RFC 8288, appendix B.2. Gives undefined where the header is malformed. Takes linear
 * time, without ReDoS: each sticky expression starts where the one before has ended, and none backtracks.
 */
export function parseLinks(text: string): readonly WebLink[] | undefined {
  const links: WebLink[] = [];
  let position = matchAt(gap, text, 0)?.end ?? 0;
  while (position < text.length) {
    const found = matchAt(target, text, position);
    if (found === undefined) {
      return undefined;
    }
    const parameters = new Map<string, string>();
    position = found.end;
    for (let next = matchAt(parameter, text, position); next; next = matchAt(parameter, text, position)) {
      position = next.end;
      const [name, quoted, plain = ""] = next.groups;
      const key = name?.toLowerCase();
      const value = quoted?.replaceAll(/\\(.)/g, "$1") ?? plain.trimEnd();
      if (key !== undefined && !parameters.has(key)) {
        parameters.set(key, value);
      }
    }
    links.push({ target: found.groups[0] ?? "", parameters });
    const end = matchAt(separator, text, position);
    if (end === undefined) {
      return undefined;
    }
    position = matchAt(gap, text, end.end)?.end ?? end.end;
  }
  return links;
}

type Match = { readonly groups: readonly (string | undefined)[]; readonly end: number };

function matchAt(sticky: RegExp, text: string, position: number): Match | undefined {
  sticky.lastIndex = position;
  const match = sticky.exec(text);
  return match === null ? undefined : { groups: match.slice(1), end: sticky.lastIndex };
}

/** Whether a link has a relation type (RFC 8288, section 3.3). */
export function hasRelation({ parameters }: WebLink, relation: string): boolean {
  return (parameters.get("rel") ?? "")
    .toLowerCase()
    .split(/[\t ]+/)
    .includes(relation);
}
