import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { DescFile, DescMethod } from "@bufbuild/protobuf";

const folder = resolve(import.meta.dirname, "../../src/gen/flowcall/v1");

/** All proto files of the project, as they were generated: one that is added is among them. */
export async function protoFiles(): Promise<readonly DescFile[]> {
  const names = readdirSync(folder).filter((name) => name.endsWith("_pb.ts"));
  const modules: readonly Record<string, unknown>[] = await Promise.all(
    names.map((name) => import(join(folder, name))),
  );
  return modules.flatMap((exports) => Object.values(exports).filter(isFile));
}

export async function protoMethods(): Promise<readonly DescMethod[]> {
  return (await protoFiles()).flatMap((file) => file.services.flatMap((service) => service.methods));
}

function isFile(value: unknown): value is DescFile {
  return Object(value).kind === "file";
}
