import { randomFillSync } from "node:crypto";

const randomLength = 8;

/** Random bytes for many ids at a time, as `randomUUID` takes them: a request for eight bytes costs as much as one for all. */
const pool = Buffer.allocUnsafe(512 * randomLength);
let used = pool.length;

/**
 * Makes a new id: 24 hexadecimal digits, the first 8 the time in seconds, the other 16 random. Ids of later seconds
 * sort behind earlier ones, which keeps an index's new rows together.
 */
export function newId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.toString("hex", used, used + randomLength);
  used += randomLength;
  const seconds = Math.floor(Date.now() / 1000) % 2 ** 32;
  return seconds.toString(16).padStart(8, "0") + random;
}

/** When an id was made, in milliseconds since 1970, to the second. */
export function timeOfId(id: string): number {
  return Number.parseInt(id.slice(0, 8), 16) * 1000;
}

/** Whether a text has the form of an id. An alias never has. */
export function isId(text: string): boolean {
  return /^[0-9a-fA-F]{24}$/.test(text);
}
