import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { RequestError } from "../../domain/request-error.ts";

/** How many bytes protobuf's binary form takes for one of JSON text at the most: eleven for `0,`. */
const growthMax = 6;

export type ReplySize = {
  /** The JSON texts of what is large in the message, or may be. */
  readonly texts: readonly string[];
  readonly bytesMax: number;
  /** Which calls answer the same in parts, as a sentence. */
  readonly advice: string;
};

/** Refuses with REPLY_TOO_LARGE, on every protocol alike, a reply that is too large as JSON or in binary. */
export function checkReplySize<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  { texts, bytesMax, advice }: ReplySize,
): void {
  const textBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  // Writing the message out to measure it is for the few that are large.
  if (textBytes * growthMax <= bytesMax) return;
  const bytes = Math.max(textBytes, toBinary(schema, message).length);
  if (bytes > bytesMax) {
    throw new RequestError("REPLY_TOO_LARGE", `The reply has ${bytes} bytes, and ${bytesMax} is the most. ${advice}`, {
      metadata: { limit: "transport_bytes", value: String(bytesMax), bytes: String(bytes) },
    });
  }
}

/** A reply that is not even put together, since it would be far too large. */
export function replyTooLarge(bytesMax: number, advice: string): RequestError {
  const message = `The reply would have far more bytes than ${bytesMax}, which is the most. ${advice}`;
  return new RequestError("REPLY_TOO_LARGE", message, {
    metadata: { limit: "transport_bytes", value: String(bytesMax) },
  });
}
