import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExecutionType } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { unreachable } from "../../domain/unreachable.ts";
import { type PeekScope, type Reference, type Source, walk } from "../templates/reference.ts";
import type { NodeInputs } from "./node-inputs.ts";
import type { Outputs } from "./outputs.ts";

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

/** The scope in which the templates of one node visit read. It collects the notes for the node's record. */
export class RunScope implements PeekScope {
  readonly notes: string[] = [];
  readonly #values: RunValues;
  readonly #outputs: Outputs;
  readonly #inputs: NodeInputs | undefined;
  /** The values of the variables that the node sends. */
  variables: ReadonlyMap<string, string> | undefined;

  constructor(values: RunValues, outputs: Outputs, inputs?: NodeInputs) {
    this.#values = values;
    this.#outputs = outputs;
    this.#inputs = inputs;
  }

  read(reference: Reference): JsonValue | undefined {
    const root = this.#root(reference.source);
    const value = valueAt(root, reference);
    this.#inputs?.add(reference, root);
    if (value === undefined) {
      this.note(`"{{${reference.text}}}" did not resolve.`);
    }
    return value;
  }

  /** Adds what a reference reads now. */
  collect(reference: Reference, inputs: NodeInputs): void {
    inputs.add(reference, this.#root(reference.source));
  }

  peek(reference: Reference): JsonValue | undefined {
    return valueAt(this.#root(reference.source), reference);
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
      case "variable":
        return this.variables?.get(source.name);
      case "node":
        return this.#outputs.get(source.nodeId);
      case "callback_url": {
        const prefix = this.#outputs.prefixAt(source.depth);
        return prefix === undefined ? undefined : this.#values.callbackUrl?.(prefix + source.nodeId);
      }
      case "node_fact":
        return this.#outputs.factOf(source.nodeId, source.fact);
      default:
        return unreachable(source);
    }
  }
}

/** The value that a template reads. What it reads of the error of a node that has not failed is null. */
function valueAt(root: JsonValue | undefined, { source, path }: Reference): JsonValue | undefined {
  return root === null && source.kind === "node_fact" ? null : walk(root, path);
}

const notesMax = 20;
