import { createHash } from "node:crypto";
import { RequestError } from "../../domain/request-error.ts";

/** The place of a row in an order of time and id. */
export type PagePosition = { readonly createTime: Date; readonly id: string };

/** What a list is of: the kind of its rows, and its filters, of which its pages must not change. */
type Filters = { readonly of: string; readonly [name: string]: string | Date | undefined };

/** Names the place behind a row, in the list of these filters and in no other. */
export function pageTokenOf({ createTime, id }: PagePosition, filters: Filters): string {
  return encode(`${createTime.getTime()}.${id}`, filters);
}

/** Refuses with VALIDATION_ERROR a text that pageTokenOf did not make for these filters. */
export function parsePageToken(token: string, filters: Filters): PagePosition {
  const [, time, id] = /^(\d{1,14})\.([0-9a-f]{24})$/.exec(decode(token, filters)) ?? [];
  if (time === undefined || id === undefined) throw refused();
  return { createTime: new Date(Number(time)), id };
}

/** The place of a record in an execution's journal. */
export type JournalPosition = { readonly flushIndex: number; readonly entry: number };

/** Names a record of a journal, in the list of these filters and in no other. */
export function journalTokenOf({ flushIndex, entry }: JournalPosition, filters: Filters): string {
  return encode(`${flushIndex}.${entry}`, filters);
}

/** Refuses with VALIDATION_ERROR a text that journalTokenOf did not make for these filters. */
export function parseJournalToken(token: string, filters: Filters): JournalPosition {
  const [, flushIndex, entry] = /^(\d{1,9})\.(\d{1,9})$/.exec(decode(token, filters)) ?? [];
  if (flushIndex === undefined || entry === undefined) throw refused();
  return { flushIndex: Number(flushIndex), entry: Number(entry) };
}

/** Names the place behind a row in an order of names, in the list of these filters and in no other. */
export function nameTokenOf(name: string, filters: Filters): string {
  return encode(Buffer.from(name).toString("base64url"), filters);
}

/** Refuses with VALIDATION_ERROR a text that nameTokenOf did not make for these filters. */
export function parseNameToken(token: string, filters: Filters): string {
  return Buffer.from(decode(token, filters), "base64url").toString();
}

/** Names a version of a workflow, in the list of these filters and in no other. */
export function versionTokenOf(version: number, filters: Filters): string {
  return encode(String(version), filters);
}

/** Refuses with VALIDATION_ERROR a text that versionTokenOf did not make for these filters. */
export function parseVersionToken(token: string, filters: Filters): number {
  const place = decode(token, filters);
  if (!/^\d{1,9}$/.test(place)) throw refused();
  return Number(place);
}

function encode(place: string, filters: Filters): string {
  return Buffer.from(`${place}~${digestOf(filters)}`).toString("base64url");
}

function decode(token: string, filters: Filters): string {
  const [place = "", digest] = Buffer.from(token, "base64url").toString("latin1").split("~");
  if (digest !== digestOf(filters)) throw refused();
  return place;
}

function digestOf(filters: Filters): string {
  return createHash("sha256")
    .update(JSON.stringify(Object.entries(filters).sort()))
    .digest("hex")
    .slice(0, 16);
}

function refused(): RequestError {
  const message = "page_token is not one that a page before has given, or the other fields are not those of that page";
  return new RequestError("VALIDATION_ERROR", message, {
    violations: [{ field: "page_token", description: "must be the next_page_token of the page before" }],
  });
}
