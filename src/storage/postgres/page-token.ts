import { createHash } from "node:crypto";
import { RequestError } from "../../domain/request-error.ts";

/** The key of a row in a list that is ordered by time and id. */
export type PagePosition = { readonly createTime: Date; readonly id: string };

/** The kind and the filters of a list. A token is valid for the same list only: it carries their digest. */
type Filters = { readonly of: string; readonly [name: string]: string | Date | undefined };

/** A keyset pagination token: the next page starts behind this row. */
export function pageTokenOf({ createTime, id }: PagePosition, filters: Filters): string {
  return encode(`${createTime.getTime()}.${id}`, filters);
}

/** Throws VALIDATION_ERROR for a text that `pageTokenOf` did not make for these filters. */
export function parsePageToken(token: string, filters: Filters): PagePosition {
  const [, time, id] = /^(\d{1,14})\.([0-9a-f]{24})$/.exec(decode(token, filters)) ?? [];
  if (time === undefined || id === undefined) {
    throw badToken();
  }
  return { createTime: new Date(Number(time)), id };
}

/** The position of a record in the journal of an execution. */
export type JournalPosition = { readonly flushIndex: number; readonly entry: number };

export function journalTokenOf({ flushIndex, entry }: JournalPosition, filters: Filters): string {
  return encode(`${flushIndex}.${entry}`, filters);
}

/** Throws VALIDATION_ERROR for a text that `journalTokenOf` did not make for these filters. */
export function parseJournalToken(token: string, filters: Filters): JournalPosition {
  const [, flushIndex, entry] = /^(\d{1,9})\.(\d{1,9})$/.exec(decode(token, filters)) ?? [];
  if (flushIndex === undefined || entry === undefined) {
    throw badToken();
  }
  return { flushIndex: Number(flushIndex), entry: Number(entry) };
}

export function nameTokenOf(name: string, filters: Filters): string {
  return encode(Buffer.from(name).toString("base64url"), filters);
}

/** Throws VALIDATION_ERROR for a text that `nameTokenOf` did not make for these filters. */
export function parseNameToken(token: string, filters: Filters): string {
  return Buffer.from(decode(token, filters), "base64url").toString();
}

export function versionTokenOf(version: number, filters: Filters): string {
  return encode(String(version), filters);
}

/** Throws VALIDATION_ERROR for a text that `versionTokenOf` did not make for these filters. */
export function parseVersionToken(token: string, filters: Filters): number {
  const place = decode(token, filters);
  if (!/^\d{1,9}$/.test(place)) {
    throw badToken();
  }
  return Number(place);
}

function encode(place: string, filters: Filters): string {
  return Buffer.from(`${place}~${digestOf(filters)}`).toString("base64url");
}

function decode(token: string, filters: Filters): string {
  const [place = "", digest] = Buffer.from(token, "base64url").toString("latin1").split("~");
  if (digest !== digestOf(filters)) {
    throw badToken();
  }
  return place;
}

function digestOf(filters: Filters): string {
  return createHash("sha256")
    .update(JSON.stringify(Object.entries(filters).sort()))
    .digest("hex")
    .slice(0, 16);
}

function badToken(): RequestError {
  const message =
    "The page_token does not belong to this list. Pass the next_page_token of the page before, with the same filters.";
  return new RequestError("VALIDATION_ERROR", message, {
    violations: [{ field: "page_token", description: "must be the next_page_token of the page before" }],
  });
}
