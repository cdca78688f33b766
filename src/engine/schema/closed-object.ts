import type { JsonObject } from "@bufbuild/protobuf";

/** The JSON Schema of objects that have these members or fewer, and no others. */
export function closedObject(properties: JsonObject): JsonObject {
  return { type: "object", properties, additionalProperties: false };
}
