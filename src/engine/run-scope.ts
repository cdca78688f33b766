import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExecutionType } from "../domain/execution.ts";
import type { JsonText } from "../domain/json-text.ts";
import { unreachable } from "../domain/unreachable.ts";
import type { NodeInputs } from "./node-inputs.ts";
import { type Reference, type Scope, type Source, walk } from "./templates/reference.ts";

/** What the templates of a run can read besides the outputs of nodes. */
export type RunValues = {
  readonly executionId: string;
  readonly type: ExecutionType;
  readonly event: {
    /** The payload. */
    readonly body: JsonObject;
    /** By lower-case name. */
    readonly headers: Readonly<Record<string, string>>;
  };
  readonly linkedAccount: JsonObject;
  readonly workflowFields: JsonObject;
  readonly applicationFields: JsonObject;
};

/** The outputs of the nodes that ran, in the run or in one iteration, which sees those outside of it too. */
export class Outputs {
  readonly #outer: Outputs | undefined;
  readonly #read = new Map<string, () => JsonValue>();

  constructor(outer?: Outputs) {
    this.#outer = outer;
  }

  setValue(nodeId: string, value: JsonValue): void {
    this.#read.set(nodeId, () => value);
  }

  /**
   * The text is parsed when it is first read, and never where nobody reads it. The value of a large text is kept only as
   * long as there is memory for it: it may take thirty times as much.
   */
  setText(nodeId: string, text: JsonText): void {
    let parsed: WeakRef<object> | undefined;
    this.#read.set(nodeId, () => {
      const known = parsed?.deref();
      // What was parsed from the text.
      if (known !== undefined) return known as JsonValue;
      // The text was written from a JSON value.
      const value = JSON.parse(text) as JsonValue;
      if (text.length <= keptCharsMax || typeof value !== "object" || value === null) this.setValue(nodeId, value);
      else parsed = new WeakRef(value);
      return value;
    });
  }

  get(nodeId: string): JsonValue | undefined {
    const read = this.#read.get(nodeId);
    return read === undefined ? this.#outer?.get(nodeId) : read();
  }
}

/** The values of texts up to this length are kept. */
const keptCharsMax = 64 * 1024;

/** Where one visit of a node reads, with the notes for its record. */
export class RunScope implements Scope {
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
      default:
        return unreachable(source);
    }
  }
}

const notesMax = 20;
