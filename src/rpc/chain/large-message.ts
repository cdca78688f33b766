import type { Call } from "../../domain/http/call.ts";
import { carriedText } from "../../domain/json/json-parse.ts";

/** A shorter text is encoded so quickly that it need not wait in the fair queue. */
const charsMin = 16 * 1024;

/** Whether a message carries so much JSON text that encoding it blocks the thread for a while. */
export function isLarge(message: object): boolean {
  return carriedChars(message) >= charsMin;
}

/**
 * Waits in the fair queue before a reply is made of large texts. Throws RequestError where the caller would hold too many
 * bytes of replies that it has not taken.
 */
export async function makeRoom(call: Call, texts: readonly (string | undefined)[]): Promise<void> {
  const chars = texts.reduce((sum, text = "") => sum + text.length, 0);
  if (chars < charsMin) {
    return;
  }
  call.reserveReply?.(chars);
  await call.turn?.();
}

/** A value that carries its text is not walked, since that would decode it. */
function carriedChars(value: unknown): number {
  if (typeof value !== "object" || value === null) {
    return 0;
  }
  const text = carriedText(value);
  if (text !== undefined) {
    return text.length;
  }
  let chars = 0;
  for (const part of Object.values(value)) {
    chars += carriedChars(part);
    if (chars >= charsMin) {
      break;
    }
  }
  return chars;
}
