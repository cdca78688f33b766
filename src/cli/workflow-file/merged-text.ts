import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import { type Document, isMap, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from "yaml";
import { WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import type { FilePath } from "./file-problem.ts";
import { withNormalTexts } from "./json-text-field.ts";
import { compact, compactField, expandedField } from "./shorthand.ts";
import type { Header, WorkflowFile } from "./workflow-file.ts";
import { spellingIn } from "./yaml-document.ts";

/**
 * Merges the server's definition into a file's text. Equal parts stay as they are written, with their comments. Undefined
 * where the document cannot be merged.
 */
export function mergedText(file: WorkflowFile, header: Header, definition: JsonObject): string | undefined {
  const document = parseDocument(file.text, { logLevel: "error" });
  const root = document.contents;
  if (document.errors.length > 0 || !isMap(root)) {
    return undefined;
  }
  const merge = new Merge(document, parseDocument(file.text, { logLevel: "error" }));
  merge.members(root, file.header, header);
  const own = root.get("definition", true);
  const before = file.json["definition"];
  if (isMap(own) && isObject(before)) {
    merge.message(WorkflowDefinitionSchema, own, { before, after: definition, path: ["definition"] });
  } else {
    document.setIn(["definition"], document.createNode(compact(WorkflowDefinitionSchema, definition)));
  }
  try {
    return document.toString({ lineWidth: 0 });
  } catch {
    // The merge may have removed an anchor whose alias is left.
    return undefined;
  }
}

class Merge {
  readonly #document: Document;
  /** The unchanged file, in which paths can still be looked up. */
  readonly #source: Document;

  constructor(document: Document, source: Document) {
    this.#document = document;
    this.#source = source;
  }

  /** Merges the header. A slug and alias that follow from the file's path need not be in the file. */
  members(root: YAMLMap, before: Header, after: Header): void {
    for (const name of ["name", "slug", "alias", "description"] as const) {
      if (before[name] === after[name]) {
        continue;
      }
      if (after[name] === undefined) {
        root.delete(name);
      } else {
        root.set(name, after[name]);
      }
    }
  }

  message(schema: DescMessage, node: YAMLMap, { before, after, path }: Both<JsonObject>): void {
    for (const field of schema.fields) {
      const [own, value] = [before[field.name], after[field.name]];
      const inside = [...path, field.name];
      if (this.#isSame(field, own, value, inside)) {
        continue;
      }
      const inner = node.get(field.name, true);
      const message = field.message?.typeName.startsWith("google.protobuf.") === false ? field.message : undefined;
      if (value === undefined) {
        node.delete(field.name);
      } else if (message !== undefined && isMap(inner) && isObject(own) && isObject(value)) {
        this.message(message, inner, { before: own, after: value, path: inside });
      } else if (message !== undefined && isSeq(inner) && Array.isArray(own) && Array.isArray(value)) {
        this.#list(field, message, inner, { before: own, after: value, path: inside });
      } else {
        node.set(field.name, this.#document.createNode(compactField(field, value)));
      }
    }
  }

  /** Whether a field has the same value in the file and on the server. */
  #isSame(field: DescField, own: JsonValue | undefined, value: JsonValue | undefined, path: FilePath): boolean {
    if (own === undefined) {
      return value === undefined;
    }
    const written = expandedField(field, own, (place) => spellingIn(this.#source, place), path);
    return JSON.stringify(normal(field, written)) === JSON.stringify(normal(field, value ?? null));
  }

  #list(
    field: DescField,
    message: DescMessage,
    node: YAMLSeq,
    { before, after, path }: Both<readonly JsonValue[]>,
  ): void {
    const left = new Map(before.map((item, index) => [identityOf(item, index), index]));
    node.items = after.map((item, index) => {
      const found = left.get(identityOf(item, index));
      const [own, inner] = found === undefined ? [] : [before[found], node.items[found]];
      if (!isMap(inner) || !isObject(own) || !isObject(item)) {
        const [made] = [compactField(field, [item])].flat();
        return this.#document.createNode(made);
      }
      this.message(message, inner, { before: own, after: item, path: [...path, found ?? index] });
      return inner;
    });
  }
}

/** A value in the file, and on the server, at a path of the file. */
type Both<T> = { readonly before: T; readonly after: T; readonly path: FilePath };

/** Identifies an item of a list across changes: a node by its id, an edge by its ends. */
function identityOf(item: JsonValue, index: number): string {
  if (!isObject(item)) {
    return String(index);
  }
  const { id, source, target, port = "next" } = item;
  if (id !== undefined) {
    return `id ${id}`;
  }
  return source === undefined ? String(index) : `edge ${source} ${port} ${target}`;
}

function normal(field: DescField, value: JsonValue): JsonValue {
  try {
    const json = toJson(field.parent, fromJson(field.parent, { [field.name]: value }));
    return withNormalTexts(field.parent, json);
  } catch {
    return { wrong: value };
  }
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
