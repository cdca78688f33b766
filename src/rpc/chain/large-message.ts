import type { Call } from "../../domain/http/call.ts";
import { carriedText } from "../../domain/json/json-parse.ts";

/** Writing less than this takes so little time that nobody waits for a turn. */
const charsMin = 16 * 1024;

/** Whether a message carries so much JSON text that to write it in protobuf's forms takes a while. */
export function isLarge(message: object): boolean {
  return carriedChars(message) >= charsMin;
}

/**
 * Waits for the turn of a reply that is made of these texts, where they are large. Throws RequestError where the caller
 * would hold too much of replies that it has not taken.
 */
export async function makeRoom(call: Call, texts: readonly (string | undefined)[]): Promise<void> {
  const chars = texts.reduce((sum, text = "") => sum + text.length, 0);
  if (chars < charsMin) return;
  call.reserveReply?.(chars);
  await call.turn?.();
}

/** A value that carries its text is not looked into: it would unfold. */
function carriedChars(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const text = carriedText(value);
  if (text !== undefined) return text.length;
  let chars = 0;
  for (const part of Object.values(value)) {
    chars += carriedChars(part);
    if (chars >= charsMin) break;
  }
  return chars;
}
