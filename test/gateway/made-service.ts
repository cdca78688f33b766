import { create, createFileRegistry, type DescService, setExtension } from "@bufbuild/protobuf";
import {
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_duration,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  FieldDescriptorProto_Label as Label,
  MethodOptionsSchema,
  OneofOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { event_id, event_type, Scope, scope } from "../../src/gen/flowcall/v1/options_pb.ts";
import { http } from "../../src/gen/google/api/annotations_pb.ts";
import { type HttpRule, HttpRuleSchema } from "../../src/gen/google/api/http_pb.ts";

type Rule = {
  readonly get?: string;
  readonly post?: string;
  readonly custom?: { readonly kind: string; readonly path: string };
  readonly body?: string;
  readonly response_body?: string;
  readonly more?: readonly Rule[];
};

type MadeMethod = {
  readonly rule?: Rule;
  readonly scope?: Scope;
  readonly streams?: boolean;
  readonly takesStream?: boolean;
};

/**
 * A service whose methods take and answer `made.v1.Thing`, a message with a field of every sort that the product's own
 * messages do not all have. As an event its id is `name`, its type the one of `choice`.
 */
export function madeService(methods: Readonly<Record<string, MadeMethod>>): DescService {
  const file = create(FileDescriptorProtoSchema, {
    name: "made.proto",
    package: "made.v1",
    syntax: "proto3",
    dependency: ["google/protobuf/timestamp.proto", "google/protobuf/duration.proto", "google/protobuf/struct.proto"],
    enumType: [
      { name: "Colour", value: ["COLOUR_UNSPECIFIED", "RED", "GREEN"].map((name, number) => ({ name, number })) },
    ],
    messageType: [
      { name: "Thing", field: thingFields, oneofDecl: [{ name: "choice", options: eventTypeOptions() }] },
      { name: "Part", field: [field("id", 1, Type.STRING), field("size", 2, Type.INT32)] },
    ],
    service: [{ name: "ThingService", method: Object.entries(methods).map(([name, made]) => method(name, made)) }],
  });
  const known = [file_google_protobuf_timestamp, file_google_protobuf_duration, file_google_protobuf_struct];
  const registry = createFileRegistry(file, (name) => known.find((candidate) => candidate.proto.name === name));
  const service = registry.getService("made.v1.ThingService");
  if (service === undefined) {
    throw new Error("the service was not made");
  }
  return service;
}

function field(
  name: string,
  number: number,
  type: Type,
  more: { typeName?: string; label?: Label; oneofIndex?: number } = {},
) {
  return { name, number, type, jsonName: name, label: Label.OPTIONAL, ...more };
}

const thingFields = [
  { ...field("name", 1, Type.STRING), options: eventIdOptions() },
  field("part", 2, Type.MESSAGE, { typeName: ".made.v1.Part" }),
  field("parts", 3, Type.MESSAGE, { typeName: ".made.v1.Part", label: Label.REPEATED }),
  field("tags", 4, Type.STRING, { label: Label.REPEATED }),
  field("colour", 5, Type.ENUM, { typeName: ".made.v1.Colour" }),
  field("colours", 6, Type.ENUM, { typeName: ".made.v1.Colour", label: Label.REPEATED }),
  field("is_on", 7, Type.BOOL),
  field("count", 8, Type.INT32),
  field("large", 9, Type.UINT64),
  field("ratio", 10, Type.DOUBLE),
  field("raw", 11, Type.BYTES),
  field("after", 12, Type.MESSAGE, { typeName: ".google.protobuf.Timestamp" }),
  field("pause", 13, Type.MESSAGE, { typeName: ".google.protobuf.Duration" }),
  field("value", 14, Type.MESSAGE, { typeName: ".google.protobuf.Value" }),
  field("object", 15, Type.MESSAGE, { typeName: ".google.protobuf.Struct" }),
  field("one", 16, Type.STRING, { oneofIndex: 0 }),
  field("other", 17, Type.STRING, { oneofIndex: 0 }),
];

function eventIdOptions() {
  const options = create(FieldOptionsSchema);
  setExtension(options, event_id, true);
  return options;
}

function eventTypeOptions() {
  const options = create(OneofOptionsSchema);
  setExtension(options, event_type, true);
  return options;
}

function method(name: string, made: MadeMethod) {
  const options = create(MethodOptionsSchema);
  if (made.rule !== undefined) {
    setExtension(options, http, httpRule(made.rule));
  }
  setExtension(options, scope, made.scope ?? Scope.READ);
  const type = ".made.v1.Thing";
  const { streams: serverStreaming = false, takesStream: clientStreaming = false } = made;
  return { name, inputType: type, outputType: type, serverStreaming, clientStreaming, options };
}

function httpRule({ get, post, custom, body, response_body, more }: Rule): HttpRule {
  return create(HttpRuleSchema, {
    ...(get !== undefined && { pattern: { case: "get" as const, value: get } }),
    ...(post !== undefined && { pattern: { case: "post" as const, value: post } }),
    ...(custom !== undefined && { pattern: { case: "custom" as const, value: custom } }),
    ...(body !== undefined && { body }),
    ...(response_body !== undefined && { responseBody: response_body }),
    additionalBindings: more?.map(httpRule) ?? [],
  });
}
