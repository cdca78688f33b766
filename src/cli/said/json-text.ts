import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { CliError, usageError } from "./cli-error.ts";

/** What `-d` means: JSON itself, `@file`, or `-` for stdin. */
export async function dataText(data: string, stdin: NodeJS.ReadableStream): Promise<string> {
  if (data === "-") return await text(stdin);
  if (!data.startsWith("@")) return data;
  try {
    return await readFile(data.slice(1), "utf8");
  } catch (cause) {
    throw new CliError(`${data.slice(1)} cannot be read.`, { cause });
  }
}

/** Reads JSON without changing it: an integer that a double cannot hold is refused, as the server would. */
export function parseJson(text: string, name: string): JsonValue {
  try {
    return JSON.parse(text, (member: string, value: JsonValue, context?: { source?: string }) => {
      const source = context?.source;
      if (typeof value === "number" && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source)) {
        throw new Error(`${member === "" ? "the number" : member} is ${source}, which is not exact; send a string`);
      }
      return value;
    });
  } catch (error) {
    throw usageError(`${name} is no JSON that can be sent: ${error instanceof Error ? error.message : error}.`);
  }
}

/** Makes a message of JSON. Throws a usage error that names the field. */
export function messageFrom<T extends DescMessage>(schema: T, json: JsonValue): MessageShape<T> {
  try {
    return fromJson(schema, json);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw usageError(`The request is no ${schema.typeName}: ${problem}.`);
  }
}
