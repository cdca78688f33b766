import { create, type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

/**
 * The protos of services as a FileDescriptorSet, with all that they import, for generators that stumble over options that
 * they do not know, or that would want code for the files that declare them: without any option, and without the imports
 * that were there for options alone.
 */
export function descriptorSetOf(services: readonly DescService[]): Uint8Array {
  const files = new Map<string, FileDescriptorProto>();
  const add = (file: DescFile) => {
    if (files.has(file.proto.name) || isOfOptions(file.proto.name)) return;
    for (const dependency of file.dependencies) add(dependency);
    files.set(file.proto.name, withoutOptions(file.proto));
  };
  for (const { file } of services) add(file);
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [...files.values()] }));
}

/** What is imported for its options alone. */
function isOfOptions(name: string): boolean {
  return /^(google\/api|buf\/validate)\/|^google\/protobuf\/descriptor\.proto$/.test(name);
}

/** Parts are made anew only where they had options: the descriptors themselves are everybody's. */
function withoutOptions(file: FileDescriptorProto): FileDescriptorProto {
  const { name, syntax, dependency, messageType, enumType, service } = file;
  return create(FileDescriptorProtoSchema, {
    name,
    package: file.package,
    syntax,
    dependency: dependency.filter((imported) => !isOfOptions(imported)),
    messageType: messageType.map(plainMessage),
    enumType: enumType.map(plainEnum),
    service: service.map(({ options: _, ...rest }) => ({ ...rest, method: rest.method.map(plain) })),
  });
}

function plainMessage(message: DescriptorProto): DescriptorProto {
  return {
    ...plain(message),
    extension: [],
    field: message.field.map(plain),
    nestedType: message.nestedType.map(plainMessage),
    enumType: message.enumType.map(plainEnum),
    oneofDecl: message.oneofDecl.map(plain),
  };
}

function plainEnum(desc: EnumDescriptorProto): EnumDescriptorProto {
  return { ...plain(desc), value: desc.value.map(plain) };
}

/** Of a map's entry the option says that it is one, which generators need. */
function plain<Part extends object & { readonly options?: unknown }>(part: Part): Part {
  const { options, ...rest } = part;
  const isMapEntry = Reflect.get(Object(options), "mapEntry") === true;
  return (isMapEntry ? part : rest) as Part;
}
