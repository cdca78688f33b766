import { type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { scanJson } from "../../domain/json/json-scan.ts";
import { usageError } from "../output/cli-error.ts";
import { readStdin, readText } from "./read-text.ts";

/** Reads the value of an option like `-d`: JSON itself, `@file`, or `-` for stdin. */
export async function dataText(data: string, stdin: NodeJS.ReadableStream): Promise<string> {
  if (data === "-") {
    return await readStdin(stdin);
  }
  return data.startsWith("@") ? await readText(data.slice(1)) : data;
}

/** The server decides how large a payload may be. These limits only keep this process alive. */
const limits = { bytesMax: Number.MAX_SAFE_INTEGER, valuesMax: 1_000_000, depthMax: 200, keysMax: 1_000_000 };

/** Parses JSON by the server's own rules (no duplicate names, no numbers that lose digits). Throws a usage error. */
export function parseJson(text: string, name: string): JsonValue {
  try {
    return JSON.parse(scanJson(Buffer.from(text, "utf8"), { name, limits }));
  } catch (error) {
    throw usageError(`${name} is not JSON that can be sent: ${error instanceof Error ? error.message : error}`);
  }
}

/** Converts JSON to a message. Throws a usage error that names the field. */
export function messageFrom<T extends DescMessage>(schema: T, json: JsonValue): MessageShape<T> {
  try {
    return fromJson(schema, json);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw usageError(`The request is not a ${schema.typeName}: ${problem}.`);
  }
}
