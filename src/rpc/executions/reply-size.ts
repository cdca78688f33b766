import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { RequestError } from "../../domain/request-error.ts";

/** The worst-case growth from JSON text to a binary `Value`: the two bytes `0,` become 11, which is less than six times. */
const growthMax = 6;

export type ReplySize = {
  /** The JSON texts of the parts of the message that may be large. */
  readonly texts: readonly string[];
  readonly bytesMax: number;
  /** A sentence that names the calls which answer the same in parts. */
  readonly advice: string;
};

/** Refuses a reply that is too large as JSON or in binary (REPLY_TOO_LARGE), whatever protocol the caller uses. */
export function checkReplySize<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  { texts, bytesMax, advice }: ReplySize,
): void {
  const textBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  // Only a message that may be too large is encoded to be measured.
  if (textBytes * growthMax <= bytesMax) {
    return;
  }
  const bytes = Math.max(textBytes, toBinary(schema, message).length);
  if (bytes > bytesMax) {
    throw new RequestError("REPLY_TOO_LARGE", `The reply has ${bytes} bytes, and ${bytesMax} is the most. ${advice}`, {
      metadata: { limit: "transport_bytes", value: String(bytesMax), bytes: String(bytes) },
    });
  }
}

/** The refusal of a reply that would be far too large, and so is not assembled. */
export function replyTooLarge(bytesMax: number, advice: string): RequestError {
  const message = `The reply would have far more bytes than ${bytesMax}, which is the most. ${advice}`;
  return new RequestError("REPLY_TOO_LARGE", message, {
    metadata: { limit: "transport_bytes", value: String(bytesMax) },
  });
}
