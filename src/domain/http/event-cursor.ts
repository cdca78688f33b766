import { RequestError } from "../request-error.ts";

/** The position of an event: the execution's acceptance, one entry of its journal, or its end. */
export type EventCursor =
  | { readonly at: "start" }
  | { readonly at: "entry"; readonly flush: number; readonly entry: number }
  | { readonly at: "end" };

/** The id of an event. A watcher resumes after the last id that it has seen (`Last-Event-ID`). */
export function eventId(executionId: string, cursor: EventCursor): string {
  return `${executionId}.${cursor.at === "entry" ? `${cursor.flush}.${cursor.entry}` : cursor.at}`;
}

/** Parses an event id. Refuses an id of another execution; whether the entry exists is checked when it is read. */
export function parseEventId(executionId: string, text: string): EventCursor {
  const [, id, place, flush, entry] = /^([0-9a-f]{24})\.(?:(start|end)|(\d{1,9})\.(\d{1,9}))$/.exec(text) ?? [];
  if (id !== executionId) {
    throw eventIdRefused();
  }
  return place === "start" || place === "end"
    ? { at: place }
    : { at: "entry", flush: Number(flush), entry: Number(entry) };
}

export function eventIdRefused(): RequestError {
  return new RequestError(
    "VALIDATION_ERROR",
    "last_event_id must be the id of an event that this execution has sent. Send the last id that you received.",
    {
      violations: [{ field: "last_event_id", description: "must be the id of an event that this execution has sent" }],
    },
  );
}
