import type { JsonValue } from "@bufbuild/protobuf";
import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument } from "yaml";
import { jsonOfYaml, type YamlProblem } from "./yaml-json.ts";

type Path = readonly (string | number)[];

/** A file of YAML 1.2, of which JSON is a part: its value, what is wrong with it, and where things stand in it. */
export type YamlFile = {
  readonly document: Document;
  readonly json: JsonValue;
  readonly problems: readonly YamlProblem[];
  /** Where a path, or what is left of it, begins. */
  placeOf(path: Path): number;
  /** Line and column, counted from 1. */
  offsetAt(offset: number): { readonly line: number; readonly column: number };
};

/** Never throws: what is wrong is in `problems`. */
export function readYaml(text: string): YamlFile {
  const lines = new LineCounter();
  const { document, problems: broken } = parsed(text, lines);
  const { json, problems } = broken.length > 0 ? { json: null, problems: broken } : jsonOfYaml(document);
  return {
    document,
    json,
    problems,
    placeOf: (path) => offsetOf(document, path),
    offsetAt: (offset) => {
      const { line, col } = lines.linePos(offset);
      return { line: Math.max(1, line), column: Math.max(1, col) };
    },
  };
}

function parsed(text: string, lineCounter: LineCounter) {
  try {
    // What the library warns of is a problem of the file, or nothing; it is never written to stderr.
    const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: "error" });
    const { explicit, version } = document.directives?.yaml ?? {};
    // Where the text is torn, what follows is misread: the first place is the one to look at.
    const torn = document.errors.find(({ code }) => code !== "DUPLICATE_KEY");
    const errors = torn === undefined ? document.errors : [torn];
    const problems = errors.map(({ pos, code, message }) => ({
      offset: pos[0],
      message: said(code, message),
    }));
    if (explicit === true && version !== "1.2") {
      problems.unshift({
        offset: 0,
        message: `files are YAML 1.2, not ${version}: take the line %YAML ${version} away`,
      });
    }
    return { document, problems };
  } catch (error) {
    // The parser goes down by calling itself.
    if (!(error instanceof RangeError)) throw error;
    const document = parseDocument("");
    return { document, problems: [{ offset: 0, message: "the file nests too deep to be read" }] };
  }
}

function said(code: string, message: string): string {
  return code === "MULTIPLE_DOCS" ? "a second document begins here (---); a file holds one" : message;
}

/** How a number is written at a path, where a text is wanted in its place: as JSON would write it too. */
export function spellingIn(document: Document, path: Path): string | undefined {
  const node = document.getIn(path, true);
  const source = isScalar(node) && typeof node.value === "number" ? node.source : undefined;
  return source !== undefined && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(source) ? source : undefined;
}

/** Where a path begins in the text: at its name, or at that of the last part of it that is there. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const [parent, last] = [nodeAt(document, path.slice(0, length - 1)), path[length - 1]];
    if (isMap(parent)) {
      const named = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(last));
      // A map in the place of a list of names and values: its members are counted as the list's items are.
      const pair = named ?? (typeof last === "number" ? parent.items[last] : undefined);
      if (isPair(pair) && isNode(pair.key)) return pair.key.range?.[0] ?? 0;
    }
    const node = nodeAt(document, path.slice(0, length));
    if (isNode(node)) return node.range?.[0] ?? 0;
  }
  return 0;
}

function nodeAt(document: Document, path: Path): unknown {
  return path.length === 0 ? document.contents : document.getIn(path, true);
}
