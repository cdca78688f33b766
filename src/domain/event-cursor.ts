import { RequestError } from "./request-error.ts";

/** Which of an execution's events: that it was accepted, an entry of its journal, or its end. */
export type EventCursor =
  | { readonly at: "start" }
  | { readonly at: "entry"; readonly flush: number; readonly entry: number }
  | { readonly at: "end" };

/** The id of an event, by which a watcher that was cut off says what it has seen. */
export function eventId(executionId: string, cursor: EventCursor): string {
  return `${executionId}.${cursor.at === "entry" ? `${cursor.flush}.${cursor.entry}` : cursor.at}`;
}

/** Refuses a text that is not the id of an event of this execution, as far as the text tells. */
export function parseEventId(executionId: string, text: string): EventCursor {
  const [, id, place, flush, entry] = /^([0-9a-f]{24})\.(?:(start|end)|(\d{1,9})\.(\d{1,9}))$/.exec(text) ?? [];
  if (id !== executionId) throw eventIdRefused();
  return place === "start" || place === "end"
    ? { at: place }
    : { at: "entry", flush: Number(flush), entry: Number(entry) };
}

export function eventIdRefused(): RequestError {
  return new RequestError("VALIDATION_ERROR", "last_event_id is not the id of an event of this execution.", {
    violations: [{ field: "last_event_id", description: "must be the id of an event that this execution has sent" }],
  });
}
