/**
 * Writes the JSON Schema of workflow files, for editors: the message `WorkflowDefinition` with its comments and rules,
 * and the header that files have beside it. `npm run generate` runs it behind the generation of the code that it reads.
 */
import { type DescField, type DescMessage, type DescOneof, type JsonObject, ScalarType } from "@bufbuild/protobuf";
import { jsonTextFields } from "../src/cli/workflow-file/json-text-field.ts";
import { pairName } from "../src/cli/workflow-file/shorthand.ts";
import { described, isRequired, limitsOf, rulesOf } from "../src/gateway/openapi/schemas.ts";
import { WorkflowDefinitionSchema } from "../src/gen/flowcall/v1/definition_pb.ts";

/** Where a text is wanted a file may hold a number or a boolean. */
const text = { type: ["string", "number", "boolean"] };

const definitions: Record<string, JsonObject> = {};
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
    definition: reference(WorkflowDefinitionSchema),
  },
  definitions,
};
process.stdout.write(`${JSON.stringify(schema, undefined, 2)}\n`);

/** A message's schema stands once among the definitions. */
function reference(message: DescMessage): JsonObject {
  if (message.typeName === "google.protobuf.Struct") {
    return { type: "object" };
  }
  if (message.typeName === "google.protobuf.Value") {
    return {};
  }
  if (definitions[message.name] === undefined) {
    definitions[message.name] = {};
    definitions[message.name] = messageSchema(message);
  }
  return { $ref: `#/definitions/${message.name}` };
}

function messageSchema(message: DescMessage): JsonObject {
  const required = message.fields.filter(isRequired).map(({ name }) => name);
  const oneofs = message.oneofs.filter(({ fields }) => fields.length > 1).map(onlyOne);
  return {
    description: commentOf(message.typeName),
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
  const rules = rulesOf(field)?.type;
  const description = commentOf(`${field.parent.typeName}.${field.name}`);
  if (field.fieldKind === "list") {
    const items = rules?.case === "repeated" ? rules.value.items?.type : undefined;
    const list = { type: "array", ...limitsOf(rules), items: { ...singular(field), ...limitsOf(items) } };
    const key = pairName(field.message);
    // A file may hold names and values as a map.
    if (key !== undefined) {
      return { description, anyOf: [list, mapOf(field, key)] };
    }
    return { description, ...list };
  }
  if (field.fieldKind === "map") {
    return { description, type: "object", additionalProperties: singular(field) };
  }
  const own = { ...singular(field), ...limitsOf(rules) };
  // Draft 7 reads nothing beside a reference.
  return "$ref" in own ? { description, allOf: [own] } : { description, ...own };
}

function mapOf(field: DescField, key: string): JsonObject {
  const { required: _, properties, ...item } = messageSchema(field.message ?? field.parent);
  const { [key]: __, ...others } = Object(properties);
  return { type: "object", additionalProperties: { anyOf: [text, { ...item, properties: others }] } };
}

function singular(field: DescField): JsonObject {
  if (jsonTextFields.has(`${field.parent.name}.${field.name}`)) {
    return {};
  }
  if (field.message !== undefined) {
    return reference(field.message);
  }
  if (field.enum !== undefined) {
    return { enum: field.enum.values.filter(({ number }) => number > 0).map(({ name }) => name) };
  }
  switch (field.scalar) {
    case ScalarType.STRING:
      return { ...text };
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

/** The comment of a thing, as one line. */
function commentOf(name: string): string {
  return described(name).description?.replaceAll("\n", " ") ?? "";
}
