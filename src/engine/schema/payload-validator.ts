import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { JsonText } from "../../domain/json/json-text.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { PoolTask } from "../pool/pool-task.ts";
import type { ProcessPool } from "../pool/process-pool.ts";
import { payloadProblem, schemaOf, tryPayload } from "./payload-schema.ts";
import { type Schema, workMax } from "./schema-validation.ts";

/** The budget of work on the thread: about two milliseconds. Beyond it, a child process checks. */
const inlineWorkMax = 30_000;

/** Larger schemas, and those with more patterns, are not compiled on the thread: each pattern is a program of its own. */
const inlineCharsMax = 8 * 1024;
const inlinePatternsMax = 8;

/** The payload of a call, with what a check in the pool needs. */
export type PayloadCall = Pick<PoolTask<"payload">, "path" | "signal"> & {
  readonly payload: JsonValue;
  /** The JSON text of the payload. */
  readonly text: JsonText;
  readonly pool: Pick<ProcessPool, "run">;
};

/** Validates payloads against a workflow's JSON Schema: on the thread where that is little work, else in a child process. */
export class PayloadValidator {
  readonly #json: JsonObject;
  /** The compiled schema; null if it is too large for the thread, undefined before the first check. */
  #schema: Schema | null | undefined;
  #text: string | undefined;

  /** @param json a schema without problems */
  constructor(json: JsonObject) {
    this.#json = json;
  }

  /**
   * Throws or rejects with PAYLOAD_INVALID where the payload violates the schema, and with PAYLOAD_TOO_LARGE where the check takes
   * too much work. Gives undefined where a valid payload was checked on the thread.
   */
  check(call: PayloadCall): Promise<void> | undefined {
    if (this.#schema === undefined) {
      this.#schema = this.#compileSmall();
    }
    const check = this.#schema === null ? undefined : tryPayload(this.#schema, call.payload, inlineWorkMax);
    if (check === undefined || check.kind === "spent") {
      return this.#checkInPool(call);
    }
    const problem = payloadProblem(check);
    if (problem !== undefined) {
      throw problem;
    }
    return undefined;
  }

  #compileSmall(): Schema | null {
    const patterns = this.#schemaText.split('"pattern').length - 1;
    return this.#schemaText.length > inlineCharsMax || patterns > inlinePatternsMax ? null : schemaOf(this.#json);
  }

  get #schemaText(): string {
    this.#text ??= JSON.stringify(this.#json);
    return this.#text;
  }

  async #checkInPool({ text, path, signal, pool }: PayloadCall): Promise<void> {
    const end = await pool.run("payload", {
      request: () => ({ head: { kind: "payload" }, texts: [this.#schemaText, text] }),
      path,
      signal,
      isRefusable: true,
    });
    // A check that exceeds a child's time or memory also exceeds the budget of work.
    const problem = payloadProblem(end.kind === "reply" ? end.head : { kind: "spent", work: workMax });
    if (end.kind === "lost") {
      throw RequestError.of("SERVER_ERROR");
    }
    if (problem !== undefined) {
      throw problem;
    }
  }
}
