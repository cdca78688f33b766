import type { JsonObject } from "@bufbuild/protobuf";
import type { NewExecution } from "../../domain/execution.ts";
import { parseJson } from "../../domain/json/json-parse.ts";
import type { JsonText } from "../../domain/json/json-text.ts";

/** The event that starts an execution: the payload of the call, and those of its headers that are kept. */
export type TriggerEvent = { readonly body: JsonObject; readonly headers: Readonly<Record<string, string>> };

/** Reads the event from the row of an execution. */
export function eventOf({ payload, headers }: NewExecution): TriggerEvent {
  const texts = Object.entries(objectOf(headers)).map(([name, value]) => [name, String(value)]);
  return { body: objectOf(payload), headers: Object.fromEntries(texts) };
}

function objectOf(text: JsonText): JsonObject {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error("the stored event of an execution is not an object");
  }
  return value;
}
