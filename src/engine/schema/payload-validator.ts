import type { JsonObject } from "@bufbuild/protobuf";
import type { JsonText } from "../../domain/json-text.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { PoolTask, ProcessPool } from "../pool/process-pool.ts";
import { payloadProblem, schemaOf, tryPayload } from "./payload-schema.ts";
import { type Schema, workMax } from "./schema-validation.ts";

/** A check of more work is left to the pool: it would hold the thread for more than two milliseconds. */
const inlineWorkMax = 30_000;

/** Larger schemas are not compiled in line, nor are those of many patterns: each is a program of its own. */
const inlineCharsMax = 8 * 1024;
const inlinePatternsMax = 8;

/** A payload that has come with a call, and on whose behalf it is checked. */
export type PayloadCall = Pick<PoolTask<"payload">, "path" | "signal"> & {
  readonly payload: JsonObject;
  /** The payload's text. */
  readonly text: JsonText;
  readonly pool: Pick<ProcessPool, "run">;
};

/** What a payload must be like. In line where that is little work, and in a child process where it is not. */
export class PayloadValidator {
  readonly #json: JsonObject;
  /** What checks in line; null where it is too large for that, undefined where nobody has looked. */
  #schema: Schema | null | undefined;
  #text: string | undefined;

  /** @param json a schema without problems */
  constructor(json: JsonObject) {
    this.#json = json;
  }

  /**
   * Refuses with PAYLOAD_INVALID a payload that breaks the schema, and with PAYLOAD_TOO_LARGE one that is too much to check.
   * Undefined where it was checked in line.
   */
  check(call: PayloadCall): Promise<void> | undefined {
    if (this.#schema === undefined) this.#schema = this.#compileSmall();
    const check = this.#schema === null ? undefined : tryPayload(this.#schema, call.payload, inlineWorkMax);
    if (check === undefined || check.kind === "spent") return this.#checkInPool(call);
    const problem = payloadProblem(check);
    if (problem !== undefined) throw problem;
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
    // What took a child's time or memory is more than what may be spent.
    const problem = payloadProblem(end.kind === "reply" ? end.head : { kind: "spent", work: workMax });
    if (end.kind === "lost")
      throw new RequestError("SERVER_ERROR", "The process that checked the payload was lost twice.");
    if (problem !== undefined) throw problem;
  }
}
