import type { JsonObject } from "@bufbuild/protobuf";
import type { NewExecution } from "../../domain/execution.ts";
import { parseJson } from "../../domain/json/json-parse.ts";
import type { JsonText } from "../../domain/json-text.ts";

/** What an execution starts from: the payload and the request headers that it keeps. */
export type Event = { readonly body: JsonObject; readonly headers: Readonly<Record<string, string>> };

/** Reads the event of an execution whose call is long answered from what was kept of it. */
export function eventOf({ payload, headers }: NewExecution): Event {
  const texts = Object.entries(objectOf(headers)).map(([name, value]) => [name, String(value)]);
  return { body: objectOf(payload), headers: Object.fromEntries(texts) };
}

function objectOf(text: JsonText): JsonObject {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error("what was kept of an event is not an object");
  return value;
}
