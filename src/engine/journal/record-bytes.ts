import type { NodeRun } from "../../domain/execution.ts";
import { NodeFailure } from "../errors/node-failure.ts";

/** What a record takes beside its texts, roughly. */
const recordBytes = 256;

/** How large a record is: the UTF-8 bytes of what it holds. */
export function bytesOf({ path, input, output, error, notes }: NodeRun): number {
  let bytes = recordBytes + path.length;
  if (output !== undefined) bytes += Buffer.byteLength(output);
  if (input !== undefined) bytes += Buffer.byteLength(input);
  if (error !== undefined) bytes += Buffer.byteLength(error.message);
  if (notes !== undefined) for (const note of notes) bytes += Buffer.byteLength(note);
  return bytes;
}

/** A record that there is no room for beside those of the execution that are there. */
export function recordsTooLarge(max: number): NodeFailure {
  const message = `The records of the execution would together have more than ${max} bytes (limit recordsBytesMax).`;
  return new NodeFailure("RECORDS_TOO_LARGE", message, { isFinal: true });
}
