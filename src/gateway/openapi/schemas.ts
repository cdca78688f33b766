import type { DescEnum, DescField, DescMessage, JsonObject } from "@bufbuild/protobuf";
import { getOption, hasOption, ScalarType } from "@bufbuild/protobuf";
import { type FieldRules, field as rulesOption } from "../../gen/buf/validate/validate_pb.ts";
import { comments } from "../../gen/flowcall/comments.ts";

/** The JSON Schemas of messages. Each one that is referred to is added to `all`. */
export class Schemas {
  readonly all: Record<string, JsonObject> = {};
  readonly #given: ReadonlySet<DescMessage>;

  /** @param inputs the messages that callers send, with all messages inside them */
  constructor(inputs: readonly DescMessage[]) {
    this.#given = withParts(inputs);
  }

  /** A reference to the schema of a message; the schema itself for one that ProtoJSON writes in a special form. */
  message(desc: DescMessage): JsonObject {
    const known = wellKnown[desc.typeName];
    if (known !== undefined) {
      return known;
    }
    const name = nameOf(desc);
    if (this.all[name] === undefined) {
      this.all[name] = {};
      this.all[name] = this.object(desc, desc.fields);
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  /** The schema of an object with some fields of a message. */
  object(desc: DescMessage, fields: readonly DescField[]): JsonObject {
    const isGiven = this.#given.has(desc);
    const required = fields
      .filter((field) => isRequired(field) || (!isGiven && isAlwaysAnswered(field)))
      .map(({ jsonName }) => jsonName);
    return {
      type: "object",
      ...described(desc.typeName),
      ...(required.length > 0 && { required }),
      properties: Object.fromEntries(fields.map((field) => [field.jsonName, this.field(field)])),
    };
  }

  /** The schema of a field, with its comment and its validation rules. */
  field(field: DescField): JsonObject {
    const schema = this.#type(field);
    const description = described(`${field.parent.typeName}.${field.name}`);
    const choice = field.oneof === undefined ? {} : { "x-one-of": field.oneof.name };
    return { ...schema, ...limitsOf(rulesOf(field)?.type), ...description, ...choice };
  }

  #type(field: DescField): JsonObject {
    switch (field.fieldKind) {
      case "list":
        return { type: "array", items: this.#element(field) };
      case "map":
        return { type: "object", additionalProperties: this.#element(field) };
      default:
        return this.#element(field);
    }
  }

  #element(field: DescField): JsonObject {
    if (field.message !== undefined) {
      return this.message(field.message);
    }
    if (field.enum !== undefined) {
      return this.#enum(field.enum);
    }
    return scalars[field.scalar ?? ScalarType.STRING];
  }

  #enum(desc: DescEnum): JsonObject {
    const name = nameOf(desc);
    // The first value means that nothing is set, and is never sent.
    const values = desc.values.filter(({ number }) => number !== 0);
    const meanings = values.flatMap((value) => {
      const { description } = described(`${desc.typeName}.${value.name}`);
      return description === undefined ? [] : [`- \`${value.name}\`: ${description.replaceAll("\n", " ")}`];
    });
    const text = [described(desc.typeName).description ?? "", ...meanings].filter((part) => part !== "").join("\n");
    this.all[name] ??= {
      type: "string",
      ...(text !== "" && { description: text }),
      enum: values.map((value) => value.name),
    };
    return { $ref: `#/components/schemas/${name}` };
  }
}

export function described(name: string): { readonly description?: string } {
  const description = comments[name];
  return description === undefined ? {} : { description };
}

/** Messages with all messages inside them. */
function withParts(messages: readonly DescMessage[]): ReadonlySet<DescMessage> {
  const all = new Set(messages);
  // The loop also visits the messages that it adds.
  for (const { fields } of all) {
    for (const { message } of fields) {
      if (message !== undefined) {
        all.add(message);
      }
    }
  }
  return all;
}

/**
 * Whether each reply has a field: one that may be absent is `optional` in its proto or in a oneof. Messages may be absent
 * too, since lists omit large ones, but not a timestamp that is not `optional`.
 */
function isAlwaysAnswered(field: DescField): boolean {
  if (field.proto.proto3Optional || field.oneof !== undefined) {
    return false;
  }
  return field.fieldKind !== "message" || field.message.typeName === "google.protobuf.Timestamp";
}

export function isRequired(field: DescField): boolean {
  return rulesOf(field)?.required === true;
}

/** The name of a schema, as `ExecutionResult.Status`: without the package, which all share. */
function nameOf(desc: DescMessage | DescEnum): string {
  return desc.typeName.slice(desc.file.proto.package.length + 1);
}

export function rulesOf(field: DescField): FieldRules | undefined {
  return hasOption(field, rulesOption) ? getOption(field, rulesOption) : undefined;
}

/** The rules of protovalidate for which JSON Schema has a keyword. */
export function limitsOf(type: FieldRules["type"] | undefined): JsonObject {
  switch (type?.case) {
    case "string": {
      const { pattern, minLen, maxLen } = type.value;
      return {
        ...(minLen > 0n && { minLength: Number(minLen) }),
        ...(maxLen > 0n && { maxLength: Number(maxLen) }),
        ...(pattern !== "" && { pattern }),
      };
    }
    case "int32": {
      const { greaterThan, lessThan } = type.value;
      return {
        ...(greaterThan.case === "gte" && { minimum: greaterThan.value }),
        ...(lessThan.case === "lte" && { maximum: lessThan.value }),
      };
    }
    case "repeated": {
      const { minItems, maxItems } = type.value;
      return {
        ...(minItems > 0n && { minItems: Number(minItems) }),
        ...(maxItems > 0n && { maxItems: Number(maxItems) }),
      };
    }
    default:
      return {};
  }
}

const integer32: JsonObject = { type: "integer", format: "int32" };
const integer64: JsonObject = { type: "string", format: "int64" };
const number: JsonObject = { type: "number" };

const scalars: Readonly<Record<ScalarType, JsonObject>> = {
  [ScalarType.STRING]: { type: "string" },
  [ScalarType.BOOL]: { type: "boolean" },
  [ScalarType.BYTES]: { type: "string", contentEncoding: "base64" },
  [ScalarType.DOUBLE]: number,
  [ScalarType.FLOAT]: number,
  [ScalarType.INT32]: integer32,
  [ScalarType.SINT32]: integer32,
  [ScalarType.SFIXED32]: integer32,
  [ScalarType.UINT32]: integer32,
  [ScalarType.FIXED32]: integer32,
  [ScalarType.INT64]: integer64,
  [ScalarType.SINT64]: integer64,
  [ScalarType.SFIXED64]: integer64,
  [ScalarType.UINT64]: integer64,
  [ScalarType.FIXED64]: integer64,
};

/** The messages that ProtoJSON writes in a special form. */
const wellKnown: Readonly<Record<string, JsonObject>> = {
  "google.protobuf.Struct": { type: "object", additionalProperties: true },
  "google.protobuf.Value": {},
  "google.protobuf.ListValue": { type: "array", items: {} },
  "google.protobuf.Empty": { type: "object" },
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": { type: "string", pattern: "^-?\\d+(\\.\\d{1,9})?s$" },
  "google.protobuf.FieldMask": { type: "string" },
};
