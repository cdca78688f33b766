import { create } from "@bufbuild/protobuf";
import { defaultLimits } from "../../domain/limits.ts";
import { didYouMean } from "../../domain/nearest.ts";
import { type WorkflowProblem, WorkflowProblemSchema } from "../../gen/flowcall/v1/workflow_pb.ts";

/** The machine-readable reason of a problem in a definition. Stable once published. */
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
  | "TEMPLATE_SECRET"
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
  | "WAIT_INVALID"
  | "CALLBACK_URL_ELSEWHERE"
  | "PUBLIC_URL_MISSING"
  | "CONNECTION_INVALID"
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
  | "CODE_SYNTAX"
  | "CODE_FUNCTION_MISSING"
  | "CODE_MODULE_UNKNOWN"
  | "LANGUAGE_UNSUPPORTED"
  | "PARAMETER_INVALID"
  | "PARAMETER_DUPLICATE"
  | "CASES_MISSING"
  | "CASE_MATCH_MISSING"
  | "CASE_DUPLICATE"
  | "PORT_INVALID"
  | "PORT_DUPLICATE"
  | "SWITCH_VALUE_MISSING"
  | "MERGE_SINGLE"
  | "TRY_EMPTY"
  | "CATCH_EMPTY"
  | "TRY_CATCH_MIXED"
  | "CATCH_REASON_UNKNOWN"
  | "ON_ERROR_CONTRADICTORY"
  | "SUB_FLOW_INVALID"
  | "SETTING_IGNORED";

/** The location of a problem: a path inside the node, or inside the definition where no node is named. */
export type ProblemLocation = { readonly nodeId?: string; readonly field: string };

/** Collects every problem of a definition, so that its author sees all of them at once. */
export class Problems {
  readonly #nodeOrder: ReadonlyMap<string, number>;
  readonly #max: number;
  readonly #unreachable: ReadonlySet<string>;
  readonly #errors: WorkflowProblem[] = [];
  readonly #warnings: WorkflowProblem[] = [];
  #errorCount = 0;
  #warningCount = 0;
  #suggestions = 0;

  /**
   * @param nodeIds the ids of the definition's nodes, in its order
   * @param max the number of errors that are kept, and of warnings: a definition may have a problem in each of its bytes
   * @param unreachable the nodes that never run: their errors become warnings
   */
  constructor(
    nodeIds: readonly string[],
    {
      max = defaultLimits.definition.problemsMax,
      unreachable = new Set(),
    }: { readonly max?: number; readonly unreachable?: ReadonlySet<string> } = {},
  ) {
    this.#max = max;
    this.#unreachable = unreachable;
    this.#nodeOrder = new Map(nodeIds.map((id, index) => [id, index]));
  }

  error(location: ProblemLocation, reason: ProblemReason, message: string): void {
    if (this.isUnreachable(location.nodeId) && !alwaysErrors.has(reason)) {
      this.warn(location, reason, message);
      return;
    }
    this.#errorCount += 1;
    // This one is always kept, because it may be the cause of all the others.
    if (this.#errors.length < this.#max || reason === "DEFINITION_TOO_LARGE") {
      this.#errors.push(problem(location, reason, message));
    }
  }

  warn(location: ProblemLocation, reason: ProblemReason, message: string): void {
    this.#warningCount += 1;
    if (this.#warnings.length < this.#max) {
      this.#warnings.push(problem(location, reason, message));
    }
  }

  /** Gives ` Did you mean …?` for an unknown name, for the first few of a definition, or an empty text. */
  suggestion(word: string, known: readonly string[]): string {
    this.#suggestions += 1;
    return this.#suggestions > suggestionsMax ? "" : didYouMean(word, known);
  }

  isUnreachable(nodeId: string | undefined): boolean {
    return nodeId !== undefined && this.#unreachable.has(nodeId);
  }

  /** The number of errors, those that are not kept included. */
  get errorCount(): number {
    return this.#errorCount;
  }

  get errors(): readonly WorkflowProblem[] {
    return this.#listed(this.#errors, this.#errorCount);
  }

  get warnings(): readonly WorkflowProblem[] {
    return this.#listed(this.#warnings, this.#warningCount);
  }

  #listed(problems: readonly WorkflowProblem[], count: number): readonly WorkflowProblem[] {
    const kept = this.#inNodeOrder(problems);
    const more = count - problems.length;
    if (more === 0) {
      return kept;
    }
    const message = `There are ${more} more. Only the first ${this.#max} are listed (limit problemsMax).`;
    return [...kept, problem({ field: "" }, "TOO_MANY_PROBLEMS", message)];
  }

  #inNodeOrder(problems: readonly WorkflowProblem[]): readonly WorkflowProblem[] {
    const rank = (one: WorkflowProblem) => (one.nodeId === undefined ? -1 : (this.#nodeOrder.get(one.nodeId) ?? -1));
    return problems.toSorted((left, right) => rank(left) - rank(right));
  }
}

/** A suggestion compares a name with all known names, and a definition may have thousands of both. */
const suggestionsMax = 20;

/** These prevent a definition from running even at an unreachable node. */
const alwaysErrors: ReadonlySet<ProblemReason> = new Set(["DEFINITION_TOO_LARGE", "NODE_ID_DUPLICATE"]);

function problem(location: ProblemLocation, reason: ProblemReason, message: string): WorkflowProblem {
  return create(WorkflowProblemSchema, {
    ...(location.nodeId !== undefined && { nodeId: location.nodeId }),
    field: truncate(location.field, fieldMax),
    reason,
    message: truncate(message, messageMax),
  });
}

const fieldMax = 300;
const messageMax = 1_000;

/** Keeps a long text of the author from making the reply larger than replies may be. */
function truncate(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max - 2).toWellFormed()}….` : text;
}
