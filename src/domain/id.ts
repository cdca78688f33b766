import { randomFillSync } from "node:crypto";

const randomLength = 8;

/** Random bytes for many ids, fetched at once as `randomUUID` does: eight bytes cost as much as a whole pool. */
const pool = Buffer.allocUnsafe(512 * randomLength);
let used = pool.length;

/**
 * Makes a new id of 24 hexadecimal digits: 8 for the time in seconds, 16 random. Later ids sort after earlier ones, which
 * keeps the new rows of an index together.
 */
export function newId(): string {
  return newIdAt(Date.now());
}

/** Makes a new id that begins with the second of a time, in milliseconds since 1970. */
export function newIdAt(now: number): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.toString("hex", used, used + randomLength);
  used += randomLength;
  return idFrom(now) + random;
}

/** The text that ids of a time begin with, and the smallest of them. */
export function idFrom(time: number): string {
  const seconds = Math.floor(time / 1000) % 2 ** 32;
  return seconds.toString(16).padStart(8, "0");
}

/** The time when an id was made, in milliseconds since 1970, exact to a second. */
export function timeOfId(id: string): number {
  return Number.parseInt(id.slice(0, 8), 16) * 1000;
}

/** Whether a text has the form of an id. An alias never has it. */
export function isId(text: string): boolean {
  return /^[0-9a-fA-F]{24}$/.test(text);
}
