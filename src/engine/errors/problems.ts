import { create } from "@bufbuild/protobuf";
import { defaultLimits } from "../../domain/limits.ts";
import { meant } from "../../domain/nearest.ts";
import { type WorkflowProblem, WorkflowProblemSchema } from "../../gen/flowcall/v1/workflow_pb.ts";

/** What can be wrong with a definition, in words for programs. */
export type ProblemReason =
  | "GRAPH_TOO_LARGE"
  | "DEFINITION_TOO_LARGE"
  | "TOO_MANY_PROBLEMS"
  | "GRAPH_CYCLIC"
  | "NODE_ID_INVALID"
  | "NODE_ID_DUPLICATE"
  | "NODE_KIND_MISSING"
  | "NODE_UNREACHABLE"
  | "START_MISSING"
  | "START_DUPLICATE"
  | "START_IN_GROUP"
  | "START_HAS_INPUT"
  | "EDGE_NODE_UNKNOWN"
  | "EDGE_CROSSES_GROUP"
  | "PORT_UNKNOWN"
  | "GROUP_UNKNOWN"
  | "GROUP_CYCLIC"
  | "GROUP_MODE_MISSING"
  | "GROUP_ARRAY_INVALID"
  | "GROUP_COUNT_INVALID"
  | "CONCURRENCY_INVALID"
  | "RESPONSE_IN_GROUP"
  | "RESPONSE_REPEATED"
  | "STATUS_CODE_INVALID"
  | "TEMPLATE_MALFORMED"
  | "TEMPLATE_MISPLACED"
  | "TEMPLATE_COMPUTES"
  | "TEMPLATE_UNKNOWN"
  | "TEMPLATE_NODE_UNKNOWN"
  | "TEMPLATE_NAME_AMBIGUOUS"
  | "TEMPLATE_MAY_BE_NULL"
  | "TEMPLATE_NEVER_RESOLVES"
  | "TEMPLATE_NOT_IN_SAMPLE"
  | "FIELD_NOT_DECLARED"
  | "JSON_INVALID"
  | "EXPRESSION_INVALID"
  | "COMPARISONS_MISSING"
  | "OPERATOR_UNKNOWN"
  | "RIGHT_SIDE_MISSING"
  | "RIGHT_SIDE_UNORDERED"
  | "SCHEMA_INVALID"
  | "SCHEMA_KEYWORD_UNKNOWN"
  | "SAMPLE_INVALID"
  | "OUTPUT_KEY_INVALID"
  | "DELAY_INVALID"
  | "METHOD_INVALID"
  | "URL_INVALID"
  | "HEADER_INVALID"
  | "FIELD_NAME_INVALID"
  | "CONTENT_TYPE_INVALID"
  | "PAGINATION_INVALID"
  | "RETRY_INVALID"
  | "TIMEOUT_INVALID"
  | "OUTPUT_PATH_INVALID"
  | "FIELD_DECLARATION_INVALID"
  | "SETTING_IGNORED";

/** Where a problem is: a path inside the node, or inside the definition where no node is named. */
export type Place = { readonly nodeId?: string; readonly field: string };

/** Collects every problem of a definition, so that its author learns of all at once. */
export class Problems {
  readonly #nodeOrder: ReadonlyMap<string, number>;
  readonly #max: number;
  readonly #leftOut: ReadonlySet<string>;
  readonly #errors: WorkflowProblem[] = [];
  readonly #warnings: WorkflowProblem[] = [];
  #errorCount = 0;
  #warningCount = 0;
  #guesses = 0;

  /**
   * @param nodeIds the ids of the definition's nodes, in its order
   * @param max how many errors are kept, and how many warnings: a definition may have a problem in each of its bytes
   * @param leftOut the nodes that never run: what is wrong with them keeps nothing from running
   */
  constructor(
    nodeIds: readonly string[],
    {
      max = defaultLimits.definition.problemsMax,
      leftOut = new Set(),
    }: { readonly max?: number; readonly leftOut?: ReadonlySet<string> } = {},
  ) {
    this.#max = max;
    this.#leftOut = leftOut;
    this.#nodeOrder = new Map(nodeIds.map((id, index) => [id, index]));
  }

  error(place: Place, reason: ProblemReason, message: string): void {
    if (this.isLeftOut(place.nodeId) && !concernsAll.has(reason)) {
      this.warn(place, reason, message);
      return;
    }
    this.#errorCount += 1;
    // What is too large is told in any case, since it may be why there are so many others.
    if (this.#errors.length < this.#max || reason === "DEFINITION_TOO_LARGE")
      this.#errors.push(problem(place, reason, message));
  }

  warn(place: Place, reason: ProblemReason, message: string): void {
    this.#warningCount += 1;
    if (this.#warnings.length < this.#max) this.#warnings.push(problem(place, reason, message));
  }

  /** ` Did you mean …?` for a name that is none of those that are known, or nothing: for the first few of a definition. */
  meant(word: string, known: readonly string[]): string {
    this.#guesses += 1;
    return this.#guesses > guessesMax ? "" : meant(word, known);
  }

  isLeftOut(nodeId: string | undefined): boolean {
    return nodeId !== undefined && this.#leftOut.has(nodeId);
  }

  /** How many errors there are, told or not. */
  get errorCount(): number {
    return this.#errorCount;
  }

  get errors(): readonly WorkflowProblem[] {
    return this.#told(this.#errors, this.#errorCount);
  }

  get warnings(): readonly WorkflowProblem[] {
    return this.#told(this.#warnings, this.#warningCount);
  }

  #told(problems: readonly WorkflowProblem[], count: number): readonly WorkflowProblem[] {
    const told = this.#inNodeOrder(problems);
    const more = count - problems.length;
    if (more === 0) return told;
    const message = `There are ${more} more, which are not told: ${this.#max} are (limit problemsMax).`;
    return [...told, problem({ field: "" }, "TOO_MANY_PROBLEMS", message)];
  }

  #inNodeOrder(problems: readonly WorkflowProblem[]): readonly WorkflowProblem[] {
    const rank = (one: WorkflowProblem) => (one.nodeId === undefined ? -1 : (this.#nodeOrder.get(one.nodeId) ?? -1));
    return problems.toSorted((left, right) => rank(left) - rank(right));
  }
}

/** A guess compares a name with all that are known; a definition may have thousands of each. */
const guessesMax = 20;

/** What keeps a definition from running wherever it is. */
const concernsAll: ReadonlySet<ProblemReason> = new Set(["DEFINITION_TOO_LARGE", "NODE_ID_DUPLICATE"]);

function problem(place: Place, reason: ProblemReason, message: string): WorkflowProblem {
  return create(WorkflowProblemSchema, {
    ...(place.nodeId !== undefined && { nodeId: place.nodeId }),
    field: cut(place.field, fieldMax),
    reason,
    message: cut(message, messageMax),
  });
}

const fieldMax = 300;
const messageMax = 1_000;

/** Keeps what an author wrote from making the reply larger than replies may be. */
function cut(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max - 2).toWellFormed()}….` : text;
}
