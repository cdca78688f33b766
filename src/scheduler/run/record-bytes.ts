import type { NodeRun } from "../../domain/execution.ts";
import { NodeFailure } from "../../engine/errors/node-failure.ts";

/** The approximate size of a record without its texts. */
const recordBytes = 256;

/** The approximate size of a line of a console without its text. */
const consoleLineBytes = 30;

/** The size of a record: the UTF-8 bytes of its texts, and an overhead. */
export function bytesOf({ path, input, output, error, errors, notes, console, request }: NodeRun): number {
  let bytes = recordBytes + path.length;
  if (output !== undefined) {
    bytes += Buffer.byteLength(output);
  }
  if (input !== undefined) {
    bytes += Buffer.byteLength(input);
  }
  if (error !== undefined) {
    bytes += Buffer.byteLength(error.message);
    if (error.body !== undefined) {
      bytes += Buffer.byteLength(JSON.stringify(error.body));
    }
  }
  if (request !== undefined) {
    bytes += Buffer.byteLength(JSON.stringify(request));
  }
  if (errors !== undefined) {
    bytes += Buffer.byteLength(errors);
  }
  if (notes !== undefined) {
    for (const note of notes) {
      bytes += Buffer.byteLength(note);
    }
  }
  if (console !== undefined) {
    for (const { text } of console) {
      bytes += Buffer.byteLength(text) + consoleLineBytes;
    }
  }
  return bytes;
}

/** The failure of a record that would exceed the limit of the execution's records. */
export function recordsTooLarge(max: number): NodeFailure {
  const message = `The records of the execution would together have more than ${max} bytes (limit recordsBytesMax).`;
  return new NodeFailure("RECORDS_TOO_LARGE", message, { isFinal: true });
}
