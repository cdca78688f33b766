import { create, type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

/**
 * The protos of services as a FileDescriptorSet with all their imports, for code generators. It has no options and no
 * imports that only options need: some generators fail at options that they do not know, or generate code for their files.
 */
export function descriptorSetOf(services: readonly DescService[]): Uint8Array {
  const files = new Map<string, FileDescriptorProto>();
  const add = (file: DescFile) => {
    if (files.has(file.proto.name) || isOfOptions(file.proto.name)) {
      return;
    }
    for (const dependency of file.dependencies) {
      add(dependency);
    }
    files.set(file.proto.name, withoutOptions(file.proto));
  };
  for (const { file } of services) {
    add(file);
  }
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [...files.values()] }));
}

/** The files that are imported only for their options. */
function isOfOptions(name: string): boolean {
  return /^(google\/api|buf\/validate)\/|^google\/protobuf\/descriptor\.proto$/.test(name);
}

/** Copies only the parts that have options, since the descriptors are shared and must not change. */
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

/** Keeps the option `map_entry` of a map's entry, which generators need. */
function plain<Part extends object & { readonly options?: unknown }>(part: Part): Part {
  const { options, ...rest } = part;
  const isMapEntry = Reflect.get(Object(options), "mapEntry") === true;
  return (isMapEntry ? part : rest) as Part;
}
