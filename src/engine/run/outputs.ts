import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExecutionError, NodeRun, NodeState } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { Port } from "../graph/graph.ts";
import type { NodeFact } from "../templates/reference.ts";

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

  /** Sets what a Group gives the nodes of one iteration. */
  setItem(nodeId: string, item: JsonObject): void {
    this.#outputs.set(nodeId, { value: item, state: "RUNNING" });
  }

  /** Notes that the node was skipped and has no output: a template reads null, and a query reads nothing. */
  setNone(nodeId: string, end: End): void {
    this.#outputs.set(nodeId, { value: null, isNone: true, ...end });
  }

  /** Notes that the node failed and ended its branch: its output does not resolve. */
  setFailure(nodeId: string, end: End): void {
    this.#outputs.set(nodeId, end);
  }

  isNone(nodeId: string): boolean {
    const output = this.#outputs.get(nodeId);
    return output === undefined ? (this.#outer?.isNone(nodeId) ?? true) : output.isNone === true;
  }

  /**
   * Sets an output as JSON text, which is parsed when it is first read. The value of a large text is held weakly, because it
   * may take thirty times the memory of the text.
   */
  setText(nodeId: string, text: JsonText, errors?: JsonText): void {
    this.#outputs.set(nodeId, errors === undefined ? { text } : { text, errors });
  }

  /** What there is of a node beside its output. Undefined where the node has not run; null where it has not failed. */
  factOf(nodeId: string, fact: NodeFact): JsonValue | undefined {
    const output = this.#outputs.get(nodeId);
    if (output === undefined) {
      return this.#outer?.factOf(nodeId, fact);
    }
    const { state = "SUCCESS", error, errors } = output;
    switch (fact) {
      case "state":
        return state;
      case "error":
        return error === undefined ? null : { status: null, body: null, ...error };
      case "errors":
        // The text was made from JSON values.
        return errors === undefined ? [] : (JSON.parse(errors) as JsonValue);
      default:
        return unreachable(fact);
    }
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

/** How a node that gave no output has ended. */
type End = { readonly state: NodeState } & Failed;

type Failed = { readonly error?: ExecutionError | undefined; readonly errors?: JsonText | undefined };

type Output = Failed & {
  readonly state?: NodeState;
  readonly text?: JsonText;
  value?: JsonValue;
  readonly isNone?: true;
  parsed?: WeakRef<object>;
};

/** The output of a record, and the port by which its node was left. */
export function outputOf(output: JsonText | undefined, port: Port | undefined): Pick<NodeRun, "output" | "port"> {
  if (port !== undefined) {
    return output === undefined ? { port } : { output, port };
  }
  return output === undefined ? {} : { output };
}
