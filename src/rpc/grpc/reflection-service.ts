import { type DescExtension, type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { ServerReflection, type ServerReflectionRequest } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ServerReflection as ServerReflectionAlpha,
  type ServerReflectionRequest as ServerReflectionRequestAlpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { PublicService } from "../connect/connect-handler.ts";

/**
 * gRPC server reflection (grpc.reflection.v1 and v1alpha), which tools such as `buf curl` and grpcurl read. It needs no key,
 * since the protos are public.
 */
export function createReflectionServices(served: readonly DescService[]): readonly PublicService[] {
  const directory = new Directory([...served, ServerReflection, ServerReflectionAlpha]);
  return [
    {
      service: ServerReflection,
      register: (router) =>
        router.service(ServerReflection, {
          serverReflectionInfo: async function* (requests) {
            for await (const request of requests) {
              yield { validHost: request.host, ...directory.answer(request) };
            }
          },
        }),
    },
    {
      service: ServerReflectionAlpha,
      register: (router) =>
        router.service(ServerReflectionAlpha, {
          serverReflectionInfo: async function* (requests) {
            for await (const request of requests) {
              yield { validHost: request.host, ...directory.answer(request) };
            }
          },
        }),
    },
  ];
}

/** The two versions differ only in their package. */
type Question = ServerReflectionRequest | ServerReflectionRequestAlpha;

class Directory {
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, DescFile>();
  readonly #fileOfSymbol = new Map<string, DescFile>();
  readonly #answers = new Map<DescFile, readonly Uint8Array[]>();
  readonly #bytes = new Map<DescFile, Uint8Array>();
  readonly #extensions: readonly DescExtension[];

  constructor(services: readonly DescService[]) {
    this.#services = services;
    for (const { file } of services) {
      this.#addFile(file);
    }
    const types = [...this.#files.values()].flatMap((file) => [...nestedTypes(file)]);
    this.#extensions = types.filter((type) => type.kind === "extension");
  }

  answer({ messageRequest }: Question) {
    switch (messageRequest.case) {
      case "listServices":
        return reflectionAnswer("listServicesResponse", {
          service: this.#services.map(({ typeName }) => ({ name: typeName })),
        });
      case "fileByFilename":
        return this.#fileAnswer(this.#files.get(messageRequest.value), messageRequest.value);
      case "fileContainingSymbol":
        return this.#fileAnswer(this.#fileOfSymbol.get(messageRequest.value), messageRequest.value);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = messageRequest.value;
        const extension = this.#extensionsOf(containingType).find(({ number }) => number === extensionNumber);
        return this.#fileAnswer(extension?.file, `extension ${extensionNumber} of ${containingType}`);
      }
      case "allExtensionNumbersOfType":
        return reflectionAnswer("allExtensionNumbersResponse", {
          baseTypeName: messageRequest.value,
          extensionNumber: this.#extensionsOf(messageRequest.value).map(({ number }) => number),
        });
      case undefined:
        return reflectionError(Code.InvalidArgument, "the request asks nothing");
    }
  }

  /** A file with all its imports, so that the client need not ask for them. */
  #fileAnswer(file: DescFile | undefined, asked: string) {
    if (file === undefined) {
      return reflectionError(Code.NotFound, `${asked} is not known here`);
    }
    return reflectionAnswer("fileDescriptorResponse", { fileDescriptorProto: [...this.#bytesWithImports(file)] });
  }

  /** The encoded files, which are cached and shared by all answers. */
  #bytesWithImports(file: DescFile): readonly Uint8Array[] {
    const made = this.#answers.get(file);
    if (made !== undefined) {
      return made;
    }
    const files = new Set<DescFile>();
    const add = (next: DescFile): void => {
      if (files.has(next)) {
        return;
      }
      files.add(next);
      next.dependencies.forEach(add);
    };
    add(file);
    const answer = [...files].map((one) => this.#bytesOf(one));
    this.#answers.set(file, answer);
    return answer;
  }

  #bytesOf(file: DescFile): Uint8Array {
    const bytes = this.#bytes.get(file) ?? toBinary(FileDescriptorProtoSchema, file.proto);
    this.#bytes.set(file, bytes);
    return bytes;
  }

  #extensionsOf(typeName: string): readonly DescExtension[] {
    return this.#extensions.filter(({ extendee }) => extendee.typeName === typeName);
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) {
      return;
    }
    this.#files.set(file.proto.name, file);
    for (const type of nestedTypes(file)) {
      this.#fileOfSymbol.set(type.typeName, file);
      if (type.kind !== "service") {
        continue;
      }
      for (const method of type.methods) {
        this.#fileOfSymbol.set(`${type.typeName}.${method.name}`, file);
      }
    }
    file.dependencies.forEach((next) => {
      this.#addFile(next);
    });
  }
}

function reflectionAnswer<C extends string, V>(name: C, value: V) {
  return { messageResponse: { case: name, value } };
}

function reflectionError(code: Code, errorMessage: string) {
  return reflectionAnswer("errorResponse", { errorCode: code, errorMessage });
}
