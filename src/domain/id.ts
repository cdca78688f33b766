import { randomBytes } from "node:crypto";

/**
 * Makes a new id: 24 hexadecimal digits, the first 8 the time in seconds, the other 16 random. Ids of later seconds
 * sort behind earlier ones, which keeps an index's new rows together.
 */
export function newId(): string {
  const bytes = randomBytes(12);
  bytes.writeUInt32BE(Math.floor(Date.now() / 1000) % 2 ** 32, 0);
  return bytes.toString("hex");
}

/** Whether a text has the form of an id. An alias never has. */
export function isId(text: string): boolean {
  return /^[0-9a-fA-F]{24}$/.test(text);
}
