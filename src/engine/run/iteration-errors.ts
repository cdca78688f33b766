import type { ExecutionError } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";

/** The list of a Group's failed iterations is no longer than this. */
const charsMax = 256 * 1024;

/**
 * The failures of a Group's iterations: `{index, reason, message, status, body}` of each, in the order of the iterations.
 * Where the list would grow too long, the last come without a body, and then not at all.
 */
export class IterationErrors {
  readonly #errors = new Map<number, ExecutionError>();

  add(index: number, error: ExecutionError): void {
    this.#errors.set(index, error);
  }

  /** The list as a JSON array. */
  get text(): JsonText {
    const items: string[] = [];
    let chars = 2;
    for (const [index, { reason, message, status = null, body = null, is_cut }] of [...this.#errors].toSorted(
      byIndex,
    )) {
      const rest = { index, reason, message, status };
      const whole = JSON.stringify({ ...rest, body, ...(is_cut === true && { is_cut }) });
      const item = chars + whole.length < charsMax ? whole : JSON.stringify({ ...rest, body: null, is_cut: true });
      chars += item.length + 1;
      if (chars > charsMax) {
        break;
      }
      items.push(item);
    }
    // The text was made from JSON values.
    return `[${items.join(",")}]` as JsonText;
  }
}

function byIndex([left]: readonly [number, unknown], [right]: readonly [number, unknown]): number {
  return left - right;
}
