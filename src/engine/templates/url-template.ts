import { NodeFailure } from "../errors/node-failure.ts";
import { HttpFailure } from "../http/http-failure.ts";
import { readTargetUrl } from "../http/target-url.ts";
import type { Field } from "./field.ts";
import type { Scope, Template } from "./reference.ts";
import { requestTooLarge, type Texts } from "./text-budget.ts";
import { loneReference, type Piece, splitTemplates } from "./text-template.ts";

/**
 * Compiles a URL with templates, so that no data changes what its author built around it.
 *
 * A lone template is the whole URL, taken as it is. A template that a longer URL begins with is its base: scheme, host
 * and the first part of the path. Any other one is percent-encoded where it stands. What encoding cannot tame is
 * refused: a part of the path that is empty or leads upwards because of data.
 */
export function compileUrl(text: string, field: Field): Template<string> {
  const pieces = splitTemplates(text.trim(), field);
  const references = pieces.filter((piece) => typeof piece !== "string");
  const lone = loneReference(pieces);
  if (lone !== undefined) {
    return { references, render: (scope, texts = field.texts(requestTooLarge)) => texts.takeValue(scope.read(lone)) };
  }
  const problem = problemOf(pieces);
  if (problem !== undefined) {
    field.error("URL_INVALID", problem);
  }
  const [segments, rest] = cutPath(pieces);
  return {
    references,
    render: (scope, texts = field.texts(requestTooLarge)) => {
      const place = { scope, texts };
      return segments.map((segment) => renderSegment(segment, place)).join("/") + renderAll(rest, place);
    },
  };
}

type Segment = { readonly pieces: readonly Piece[]; readonly isBase: boolean };

function problemOf(pieces: readonly Piece[]): string | undefined {
  const [first = "", second = ""] = pieces;
  if (typeof first !== "string") {
    return typeof second === "string" && /^[/?#]/.test(second)
      ? undefined
      : 'Behind the template that a URL begins with there must be a "/" or "?": that template is the URL up to the path.';
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

/** Cuts what is before the query at its slashes. A backslash is one too in a URL. */
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

type Rendering = { readonly scope: Scope; readonly texts: Texts };

function renderSegment({ pieces, isBase }: Segment, rendering: Rendering): string {
  const [first = ""] = pieces;
  if (typeof first !== "string" && isBase) {
    return baseOf(rendering.texts.takeValue(rendering.scope.read(first)));
  }
  const text = renderAll(pieces, rendering);
  const isOfData = pieces.some((piece) => typeof piece !== "string");
  if (isOfData && /^(\.|%2e){0,2}$/i.test(text)) {
    const message = `A part of the URL's path that a template stands in came out as "${text}", which makes it another path.`;
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

/** The slash behind a base is the author's to write. */
function baseOf(text: string): string {
  const base = text.trim();
  if (URL.parse(base) === null || /[?#]/.test(base)) {
    const message = 'The URL must begin with a whole one, such as "https://host/path", without "?" and "#".';
    throw new NodeFailure("URL_INVALID", message, { isFinal: true });
  }
  return base.replace(/\/+$/, "");
}
