import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExecutionType } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { type PeekScope, type Reference, type Source, walk } from "../templates/reference.ts";
import type { NodeInputs } from "./node-inputs.ts";

/** The values that templates can read, besides the outputs of nodes. */
export type RunValues = {
  readonly executionId: string;
  readonly type: ExecutionType;
  readonly event: {
    /** The payload. */
    readonly body: JsonObject;
    /** By lower-case name. */
    readonly headers: Readonly<Record<string, string>>;
    /** The payload's text, where it is known. */
    readonly text?: JsonText;
  };
  readonly linkedAccount: JsonObject;
  readonly workflowFields: JsonObject;
  readonly applicationFields: JsonObject;
  /** The URL that ends the wait of the node at a path; absent where the service has no URL of its own. */
  readonly callbackUrl?: (path: string) => string | undefined;
};

/** The outputs of nodes that have run. Those of an iteration are looked up there first, then in what is around it. */
export class Outputs {
  readonly #outer: Outputs | undefined;
  readonly #prefix: string;
  readonly #outputs = new Map<string, Output>();

  /** @param prefix the beginning of the paths of the nodes of this iteration */
  constructor(outer?: Outputs, prefix = "") {
    this.#outer = outer;
    this.#prefix = prefix;
  }

  /** The beginning of the paths of the nodes that have so many Groups around them; undefined deeper than this. */
  prefixAt(depth: number): string | undefined {
    const [level, prefix] = this.#levels(depth);
    return level === depth ? prefix : undefined;
  }

  #levels(depth: number): readonly [level: number, prefix: string] {
    const [outer, prefix] = this.#outer === undefined ? [-1, ""] : this.#outer.#levels(depth);
    return outer === depth ? [outer, prefix] : [outer + 1, this.#prefix];
  }

  setValue(nodeId: string, value: JsonValue): void {
    this.#outputs.set(nodeId, { value });
  }

  /** Notes that the node was skipped and has no output: a template reads null, and a query reads nothing. */
  setNone(nodeId: string): void {
    this.#outputs.set(nodeId, { value: null, isNone: true });
  }

  isNone(nodeId: string): boolean {
    const output = this.#outputs.get(nodeId);
    return output === undefined ? (this.#outer?.isNone(nodeId) ?? true) : output.isNone === true;
  }

  /**
   * Sets an output as JSON text, which is parsed when it is first read. The value of a large text is held weakly, because it
   * may take thirty times the memory of the text.
   */
  setText(nodeId: string, text: JsonText): void {
    this.#outputs.set(nodeId, { text });
  }

  get(nodeId: string): JsonValue | undefined {
    const output = this.#outputs.get(nodeId);
    if (output === undefined) {
      return this.#outer?.get(nodeId);
    }
    if (output.value !== undefined || output.text === undefined) {
      return output.value;
    }
    const known = output.parsed?.deref();
    // The value was parsed from JSON.
    if (known !== undefined) {
      return known as JsonValue;
    }
    // The text was made from a JSON value.
    const value = JSON.parse(output.text) as JsonValue;
    if (output.text.length <= keptCharsMax || typeof value !== "object" || value === null) {
      output.value = value;
    } else {
      output.parsed = new WeakRef(value);
    }
    return value;
  }

  /** The JSON text of an output that was set as text. */
  textOf(nodeId: string): JsonText | undefined {
    const output = this.#outputs.get(nodeId);
    return output === undefined ? this.#outer?.textOf(nodeId) : output.text;
  }
}

/** The values of longer texts are held weakly. */
const keptCharsMax = 64 * 1024;

type Output = { readonly text?: JsonText; value?: JsonValue; readonly isNone?: true; parsed?: WeakRef<object> };

/** The scope in which the templates of one node visit read. It collects the notes for the node's record. */
export class RunScope implements PeekScope {
  readonly notes: string[] = [];
  readonly #values: RunValues;
  readonly #outputs: Outputs;
  readonly #inputs: NodeInputs | undefined;

  constructor(values: RunValues, outputs: Outputs, inputs?: NodeInputs) {
    this.#values = values;
    this.#outputs = outputs;
    this.#inputs = inputs;
  }

  read(reference: Reference): JsonValue | undefined {
    const root = this.#root(reference.source);
    const value = walk(root, reference.path);
    this.#inputs?.add(reference, root);
    if (value === undefined) {
      this.note(`"{{${reference.text}}}" did not resolve.`);
    }
    return value;
  }

  peek({ source, path }: Reference): JsonValue | undefined {
    return walk(this.#root(source), path);
  }

  readForQuery(reference: Reference): JsonValue | undefined {
    const { source } = reference;
    const value = this.read(reference);
    return value === null && source.kind === "node" && this.#outputs.isNone(source.nodeId) ? undefined : value;
  }

  textOf(source: Source): JsonText | undefined {
    if (source.kind === "event_body") {
      return this.#values.event.text;
    }
    return source.kind === "node" ? this.#outputs.textOf(source.nodeId) : undefined;
  }

  /** The checked JSON text of another node's whole output. Undefined where it is not at hand, or the value has to be noted. */
  outputTextOf({ source, path }: Reference): JsonText | undefined {
    if (source.kind !== "node" || path.length > 0 || this.#inputs !== undefined) {
      return undefined;
    }
    return this.#outputs.textOf(source.nodeId);
  }

  note(text: string): void {
    if (this.notes.length < notesMax && !this.notes.includes(text)) {
      this.notes.push(text);
    }
  }

  #root(source: Source): JsonValue | undefined {
    switch (source.kind) {
      case "event_body":
        return this.#values.event.body;
      case "event_headers":
        return this.#values.event.headers;
      case "linked_account":
        return this.#values.linkedAccount;
      case "workflow_fields":
        return this.#values.workflowFields;
      case "application_fields":
        return this.#values.applicationFields;
      case "execution_id":
        return this.#values.executionId;
      case "node":
        return this.#outputs.get(source.nodeId);
      case "callback_url": {
        const prefix = this.#outputs.prefixAt(source.depth);
        return prefix === undefined ? undefined : this.#values.callbackUrl?.(prefix + source.nodeId);
      }
      default:
        return unreachable(source);
    }
  }
}

const notesMax = 20;
