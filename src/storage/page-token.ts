import { RequestError } from "../domain/request-error.ts";

/** The last row of a page in an order of time and id. */
type Position = { readonly createTime: Date; readonly id: string };

export function pageTokenOf({ createTime, id }: Position): string {
  return Buffer.from(`${createTime.getTime()}.${id}`).toString("base64url");
}

/** Refuses with VALIDATION_ERROR a text that pageTokenOf did not make. */
export function parsePageToken(token: string): Position {
  const text = Buffer.from(token, "base64url").toString("latin1");
  const [, time, id] = /^(\d{1,14})\.([0-9a-f]{24})$/.exec(text) ?? [];
  if (time === undefined || id === undefined) {
    throw new RequestError("VALIDATION_ERROR", "page_token is not one that a page before has given", {
      violations: [{ field: "page_token", description: "must be the next_page_token of the page before" }],
    });
  }
  return { createTime: new Date(Number(time)), id };
}
