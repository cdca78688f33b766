import { type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { scanJson } from "../../domain/json/json-scan.ts";
import { usageError } from "../output/cli-error.ts";
import { readStdin, readText } from "./read-text.ts";

/** What `-d` means: JSON itself, `@file`, or `-` for stdin. */
export async function dataText(data: string, stdin: NodeJS.ReadableStream): Promise<string> {
  if (data === "-") return await readStdin(stdin);
  return data.startsWith("@") ? await readText(data.slice(1)) : data;
}

/** How large a payload may be is the server's to say; only what could not be walked is not sent. */
const limits = { bytesMax: Number.MAX_SAFE_INTEGER, valuesMax: 1_000_000, depthMax: 200, keysMax: 1_000_000 };

/** Reads JSON as the server reads a payload: what it would refuse, or could not tell from something else, is not sent. */
export function parseJson(text: string, name: string): JsonValue {
  try {
    return JSON.parse(scanJson(Buffer.from(text, "utf8"), { name, limits }));
  } catch (error) {
    throw usageError(`${name} is no JSON that can be sent: ${error instanceof Error ? error.message : error}`);
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
