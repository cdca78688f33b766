/** Something that a person should know of an import: what differs, what is missing, what was guessed. */
export type ImportIssue = {
  /** WARNING where the workflow may behave differently or something has to be done, else INFO. */
  readonly severity: "WARNING" | "INFO";
  readonly code: IssueCode;
  readonly nodeId?: string;
  /** Where in the node, or in the workflow, as `input_data.query`. */
  readonly field?: string;
  readonly message: string;
  /** What stood there, cut after a while. Never a secret. */
  readonly original?: string;
};

export type IssueCode =
  | "ACTION_NOT_IMPORTED"
  | "BASE_URL_NEEDED"
  | "CONNECTION_NEEDED"
  | "CREDENTIAL_IN_TEMPLATE"
  | "EDGE_DUPLICATE"
  | "EDGES_DIFFER"
  | "FIELD_RENAMED"
  | "FIELD_TYPE_UNKNOWN"
  | "FIELDS_TOO_MANY"
  | "FUNCTION_NOT_IMPORTED"
  | "GROUP_REFERENCE_OUTSIDE"
  | "HANDLE_GUESSED"
  | "HANDLE_INFERRED"
  | "ID_CHANGED"
  | "KIND_UNKNOWN"
  | "LANGUAGE_UNSUPPORTED"
  | "LOGS_NOT_HIDDEN"
  | "METHOD_UNKNOWN"
  | "NAME_AMBIGUOUS"
  | "NODE_NOT_CONFIGURED"
  | "NODE_UNREACHABLE"
  | "NOT_JSON"
  | "OPERATOR_UNKNOWN"
  | "OPTIONS_NOT_IMPORTED"
  | "PAGINATION_NOT_IMPORTED"
  | "PARAMETER_DROPPED"
  | "REFERENCE_NEVER_SET"
  | "REFERENCE_UNKNOWN"
  | "RESPONSE_MISSING"
  | "RULE_EMPTY"
  | "SAMPLE_GUESSED"
  | "SCHEMA_NOT_IMPORTED"
  | "SECRET_IN_DEFINITION"
  | "SETTING_NOT_IMPORTED"
  | "SHAPE_NOT_VERIFIED"
  | "STATUS_CODE_DROPPED"
  | "TEMPLATE_UNCLOSED"
  | "TEXT_SHORTENED"
  | "TIMEOUT_NOT_IMPORTED"
  | "TRIGGER_REPLACED"
  | "VALUE_UNREADABLE"
  | "VARIABLE_NEEDED";

/** The place of an issue, and what stood there. */
export type IssuePlace = Pick<ImportIssue, "nodeId" | "field" | "original">;

const originalMax = 200;
/** More issues than this are not told apart by anybody. */
const issuesMax = 5_000;

/** Collects the issues of one import, each once. */
export class IssueList {
  readonly #issues = new Map<string, ImportIssue>();
  #isSilent = false;

  warn(code: IssueCode, message: string, place: IssuePlace = {}): void {
    this.#add({ severity: "WARNING", code, message }, place);
  }

  note(code: IssueCode, message: string, place: IssuePlace = {}): void {
    this.#add({ severity: "INFO", code, message }, place);
  }

  /** Runs a step that is run again later, and whose issues are told then. */
  silently(step: () => void): void {
    this.#isSilent = true;
    step();
    this.#isSilent = false;
  }

  /** All issues: of the workflow first, then in the order of these nodes. */
  sorted(nodeIds: readonly string[]): readonly ImportIssue[] {
    const places = new Map(nodeIds.map((id, index) => [id, index]));
    const placeOf = ({ nodeId }: ImportIssue) => (nodeId === undefined ? -1 : (places.get(nodeId) ?? nodeIds.length));
    return [...this.#issues.values()].toSorted((left, right) => placeOf(left) - placeOf(right));
  }

  #add(issue: ImportIssue, { nodeId, field, original }: IssuePlace): void {
    const key = JSON.stringify([issue.code, nodeId, field, issue.message]);
    if (this.#isSilent || this.#issues.size >= issuesMax || this.#issues.has(key)) {
      return;
    }
    this.#issues.set(key, {
      ...issue,
      ...(nodeId !== undefined && { nodeId }),
      ...(field !== undefined && { field }),
      ...(original !== undefined && original !== "" && { original: shown(original) }),
    });
  }
}

function shown(original: string): string {
  return original.length <= originalMax ? original : `${original.slice(0, originalMax).toWellFormed()}…`;
}
