import { NodeFailure } from "../errors/node-failure.ts";
import { HttpFailure } from "../http/http-failure.ts";
import { readTargetUrl } from "../http/target-url.ts";
import type { Field } from "./field.ts";
import type { Scope, Template } from "./reference.ts";
import { requestTooLarge, type TextBudget } from "./text-budget.ts";
import { loneReference, type Piece, splitTemplates } from "./text-template.ts";

/**
 * Compiles a URL with templates, so that data cannot change the URL around it (no path traversal, no parameter injection).
 *
 * A lone template is the whole URL. A template at the beginning of a longer URL is its base: scheme, host and the first part of
 * the path. The values of all others are percent-encoded. A path segment that is empty or leads upwards because of data is
 * refused, since percent-encoding does not help there.
 *
 * @param takesPath whether it may begin with "/", to be joined to a base URL
 */
export function compileUrl(
  text: string,
  field: Field,
  { takesPath = false }: { readonly takesPath?: boolean } = {},
): Template<string> {
  const pieces = splitTemplates(text.trim(), field);
  const references = pieces.filter((piece) => typeof piece !== "string");
  const lone = loneReference(pieces);
  if (lone !== undefined) {
    return { references, render: (scope, texts = field.texts(requestTooLarge)) => texts.takeValue(scope.read(lone)) };
  }
  const [first] = pieces;
  const isPath = takesPath && typeof first === "string" && first.startsWith("/");
  const problem = isPath ? undefined : problemOf(pieces);
  if (problem !== undefined) {
    field.error("URL_INVALID", problem);
  }
  const [segments, rest] = cutPath(pieces);
  if (references.length === 0) {
    const constant = segments.map((segment) => segment.pieces.join("")).join("/") + rest.join("");
    return { references, render: () => constant };
  }
  return {
    references,
    render: (scope, texts = field.texts(requestTooLarge)) => {
      const rendering = { scope, texts };
      return segments.map((segment) => renderSegment(segment, rendering)).join("/") + renderAll(rest, rendering);
    },
  };
}

type Segment = { readonly pieces: readonly Piece[]; readonly isBase: boolean };

function problemOf(pieces: readonly Piece[]): string | undefined {
  const [first = "", second = ""] = pieces;
  if (typeof first !== "string") {
    return typeof second === "string" && /^[/?#]/.test(second)
      ? undefined
      : 'After the template at the beginning of a URL there must be a "/" or "?": that template is the URL up to the path.';
  }
  if (pieces.length > 1) {
    return /^https?:\/\//i.test(first)
      ? undefined
      : 'A URL must begin with "https://", "http://" or a template that holds this.';
  }
  try {
    readTargetUrl(first);
    return undefined;
  } catch (error) {
    if (error instanceof HttpFailure) {
      return error.message;
    }
    throw error;
  }
}

/** Splits the part before the query at its slashes. In a URL, a backslash counts as one. */
function cutPath(pieces: readonly Piece[]): readonly [readonly Segment[], readonly Piece[]] {
  const segments: Piece[][] = [[]];
  for (const [index, piece] of pieces.entries()) {
    if (typeof piece !== "string") {
      segments.at(-1)?.push(piece);
      continue;
    }
    const end = piece.search(/[?#]/);
    const [head = "", ...more] = piece.slice(0, end < 0 ? undefined : end).split(/[/\\]/);
    segments.at(-1)?.push(head);
    segments.push(...more.map((part) => [part]));
    if (end >= 0) {
      return [segments.map(toSegment), [piece.slice(end), ...pieces.slice(index + 1)]];
    }
  }
  return [segments.map(toSegment), []];
}

function toSegment(pieces: readonly Piece[], index: number): Segment {
  return { pieces, isBase: index === 0 };
}

type Rendering = { readonly scope: Scope; readonly texts: TextBudget };

function renderSegment({ pieces, isBase }: Segment, rendering: Rendering): string {
  const [first = ""] = pieces;
  if (typeof first !== "string" && isBase) {
    return baseOf(rendering.texts.takeValue(rendering.scope.read(first)));
  }
  const text = renderAll(pieces, rendering);
  const hasTemplate = pieces.some((piece) => typeof piece !== "string");
  if (hasTemplate && /^(\.|%2e){0,2}$/i.test(text)) {
    const message = `A part of the URL's path with a template in it became "${text}", which changes the path.`;
    throw new NodeFailure("URL_INVALID", `${message} Give it a value.`, { isFinal: true });
  }
  return text;
}

function renderAll(pieces: readonly Piece[], { scope, texts }: Rendering): string {
  return pieces
    .map((piece) =>
      typeof piece === "string"
        ? texts.take(piece)
        : encodeURIComponent(texts.takeValue(scope.read(piece)).toWellFormed()),
    )
    .join("");
}

/** The base without its final slash, which the author writes after the template. */
function baseOf(text: string): string {
  const base = text.trim();
  if (URL.parse(base) === null || /[?#]/.test(base)) {
    const message = 'The URL must begin with a complete URL, such as "https://host/path", without "?" and "#".';
    throw new NodeFailure("URL_INVALID", message, { isFinal: true });
  }
  return base.replace(/\/+$/, "");
}
