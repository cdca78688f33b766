import type { JsonValue } from "@bufbuild/protobuf";
import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument } from "yaml";
import { jsonOfYaml, type YamlProblem } from "./yaml-json.ts";

type Path = readonly (string | number)[];

/** A parsed file of YAML 1.2, of which JSON is a subset: its value, its problems, and the places of its parts. */
export type YamlFile = {
  readonly document: Document;
  readonly json: JsonValue;
  readonly problems: readonly YamlProblem[];
  /** The offset of a path, or of its longest existing part. */
  placeOf(path: Path): number;
  /** Line and column, counted from 1. */
  offsetAt(offset: number): { readonly line: number; readonly column: number };
};

/** Never throws: errors are in `problems`. */
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
    // logLevel keeps the library from writing warnings to stderr.
    const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: "error" });
    const { explicit, version } = document.directives?.yaml ?? {};
    // After a syntax error the rest is misread, so only the first error is reported.
    const syntaxError = document.errors.find(({ code }) => code !== "DUPLICATE_KEY");
    const errors = syntaxError === undefined ? document.errors : [syntaxError];
    const problems = errors.map(({ pos, code, message }) => ({
      offset: pos[0],
      message: messageOf(code, message),
    }));
    if (explicit === true && version !== "1.2") {
      problems.unshift({
        offset: 0,
        message: `files are YAML 1.2, not ${version}: remove the line %YAML ${version}`,
      });
    }
    return { document, problems };
  } catch (error) {
    // The parser is recursive, so deep nesting overflows the stack.
    if (!(error instanceof RangeError)) {
      throw error;
    }
    const document = parseDocument("");
    return { document, problems: [{ offset: 0, message: "the file is nested too deeply" }] };
  }
}

function messageOf(code: string, message: string): string {
  return code === "MULTIPLE_DOCS" ? "a second document begins here (---); a file holds only one" : message;
}

/** How the number at a path is written, if JSON could write it so too. */
export function spellingIn(document: Document, path: Path): string | undefined {
  const node = document.getIn(path, true);
  const source = isScalar(node) && typeof node.value === "number" ? node.source : undefined;
  return source !== undefined && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(source) ? source : undefined;
}

/** The offset of a path: of its last name, or of the last part that exists. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const [parent, last] = [nodeAt(document, path.slice(0, length - 1)), path[length - 1]];
    if (isMap(parent)) {
      const named = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(last));
      // In shorthand a map stands for a list of names and values, so its members have indexes.
      const pair = named ?? (typeof last === "number" ? parent.items[last] : undefined);
      if (isPair(pair) && isNode(pair.key)) {
        return pair.key.range?.[0] ?? 0;
      }
    }
    const node = nodeAt(document, path.slice(0, length));
    if (isNode(node)) {
      return node.range?.[0] ?? 0;
    }
  }
  return 0;
}

function nodeAt(document: Document, path: Path): unknown {
  return path.length === 0 ? document.contents : document.getIn(path, true);
}
