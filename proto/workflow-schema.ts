/**
 * Writes the JSON Schema of workflow files, for editors: the message `WorkflowDefinition` with its comments and rules,
 * and the header that files have beside it. Reads what `buf build proto -o -` writes; `npm run generate` runs both.
 */
import { buffer } from "node:stream/consumers";
import {
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescOneof,
  fromBinary,
  getOption,
  type JsonObject,
  ScalarType,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type FieldRules, field as fieldRules } from "../src/gen/buf/validate/validate_pb.ts";

type Described = DescMessage | DescEnum | DescField | DescOneof;

/** Field numbers in descriptor.proto: what a path to a comment is made of. */
const inFile = { message: 4, enum: 5 };
const inMessage = { field: 2, message: 3, enum: 4, oneof: 8 };

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, await buffer(process.stdin)));
const definitions: Record<string, JsonObject> = {};
const root = registry.getMessage("flowcall.v1.WorkflowDefinition");
if (root === undefined) throw new Error("the protos have no WorkflowDefinition");
const name = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
const schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "A Flowcall workflow",
  type: "object",
  required: ["name", "definition"],
  additionalProperties: false,
  properties: {
    $schema: { description: "Where this schema is, for editors.", type: "string" },
    name: { description: "What people call the workflow.", type: "string", minLength: 1, maxLength: 200 },
    alias: { description: "The name that calls may use; the file's if absent.", type: "string", pattern: name },
    slug: {
      description: "The integration that it belongs to; the folder's name if absent.",
      type: "string",
      pattern: name,
    },
    description: { description: "What it is for.", type: "string", maxLength: 2000 },
    definition: reference(root),
  },
  definitions,
};
process.stdout.write(`${JSON.stringify(schema, undefined, 2)}\n`);

/** A message's schema stands once among the definitions. */
function reference(message: DescMessage): JsonObject {
  if (message.typeName === "google.protobuf.Struct") return { type: "object" };
  if (message.typeName === "google.protobuf.Value") return {};
  if (definitions[message.name] === undefined) {
    definitions[message.name] = {};
    definitions[message.name] = messageSchema(message);
  }
  return { $ref: `#/definitions/${message.name}` };
}

function messageSchema(message: DescMessage): JsonObject {
  const required = message.fields
    .filter((field) => getOption(field, fieldRules).required === true)
    .map(({ name }) => name);
  const oneofs = message.oneofs.filter(({ fields }) => fields.length > 1).map(onlyOne);
  return {
    description: commentOf(message),
    type: "object",
    additionalProperties: false,
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(message.fields.map((field) => [field.name, fieldSchema(field)])),
    ...(oneofs.length > 0 && { allOf: oneofs }),
  };
}

/** Of a oneof's fields one may be there: for one of them, all others are absent. */
function onlyOne({ fields }: DescOneof): JsonObject {
  const others = (own: DescField) => fields.filter((field) => field !== own).map(({ name }) => [name, false] as const);
  return { anyOf: fields.map((field) => ({ type: "object", properties: Object.fromEntries(others(field)) })) };
}

function fieldSchema(field: DescField): JsonObject {
  const { type } = getOption(field, fieldRules);
  const description = commentOf(field);
  if (field.fieldKind === "list") {
    const { maxItems, items } = type.case === "repeated" ? type.value : {};
    const most = maxItems === undefined || maxItems === 0n ? {} : { maxItems: Number(maxItems) };
    return { description, type: "array", ...most, items: { ...singular(field), ...ruleSchema(items?.type) } };
  }
  if (field.fieldKind === "map") return { description, type: "object", additionalProperties: singular(field) };
  const own = { ...singular(field), ...ruleSchema(type) };
  // Draft 7 reads nothing beside a reference.
  return "$ref" in own ? { description, allOf: [own] } : { description, ...own };
}

function singular(field: DescField): JsonObject {
  if (field.message !== undefined) return reference(field.message);
  if (field.enum !== undefined)
    return { enum: field.enum.values.filter(({ number }) => number > 0).map(({ name }) => name) };
  switch (field.scalar) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.INT32:
      return { type: "integer" };
    case ScalarType.DOUBLE:
      return { type: "number" };
    default:
      throw new Error(`${field} is of a kind that no workflow file has had yet; say here what its JSON is`);
  }
}

/** The rules that editors can check. */
function ruleSchema(rules: FieldRules["type"] | undefined): JsonObject {
  if (rules?.case === "string") {
    const { minLen, maxLen, pattern } = rules.value;
    return {
      ...(minLen > 0n && { minLength: Number(minLen) }),
      ...(maxLen > 0n && { maxLength: Number(maxLen) }),
      ...(pattern !== "" && { pattern }),
    };
  }
  if (rules?.case !== "int32") return {};
  const { lessThan, greaterThan } = rules.value;
  return {
    ...(greaterThan.case === "gte" && { minimum: greaterThan.value }),
    ...(lessThan.case === "lte" && { maximum: lessThan.value }),
  };
}

/** The comment above a thing in its proto file, as one text. */
function commentOf(thing: Described): string {
  const path = pathOf(thing).join(".");
  const file = thing.kind === "message" || thing.kind === "enum" ? thing.file : thing.parent?.file;
  const locations = file?.proto.sourceCodeInfo?.location ?? [];
  const comment = locations.find((location) => location.path.join(".") === path)?.leadingComments ?? "";
  const lines = comment.split("\n").filter((line) => !line.includes("buf:lint:ignore"));
  return lines
    .map((line) => line.trim())
    .join(" ")
    .trim();
}

function pathOf(thing: Described): readonly number[] {
  const parent = thing.parent;
  if (thing.kind === "message") {
    if (parent === undefined) return [inFile.message, thing.file.proto.messageType.indexOf(thing.proto)];
    return [...pathOf(parent), inMessage.message, thing.parent?.proto.nestedType.indexOf(thing.proto) ?? -1];
  }
  if (thing.kind === "enum") {
    if (parent === undefined) return [inFile.enum, thing.file.proto.enumType.indexOf(thing.proto)];
    return [...pathOf(parent), inMessage.enum, thing.parent?.proto.enumType.indexOf(thing.proto) ?? -1];
  }
  if (thing.kind === "oneof")
    return [...pathOf(thing.parent), inMessage.oneof, thing.parent.proto.oneofDecl.indexOf(thing.proto)];
  return thing.parent === undefined
    ? []
    : [...pathOf(thing.parent), inMessage.field, thing.parent.proto.field.indexOf(thing.proto)];
}
