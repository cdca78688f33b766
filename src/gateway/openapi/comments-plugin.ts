// A plugin of `buf generate` (buf.gen.yaml) that writes a table of the comments in this project's protos, by the full names
// of their elements. Generated code has no comments that a program could read, and the API page shows them.

import type { DescEnum, DescField, DescMessage, DescMethod, DescOneof, DescService } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { createEcmaScriptPlugin, getComments, runNodeJs } from "@bufbuild/protoplugin";

type Commented = DescMessage | DescEnum | DescService | DescField | DescOneof | DescEnum["values"][number] | DescMethod;

/** The text of a comment, without the space behind the slashes and without instructions for linters. */
function textOf(desc: Commented): string {
  const lines = (getComments(desc).leading ?? "").split("\n").map((line) => line.replace(/^ /, ""));
  return lines
    .filter((line) => !line.startsWith("buf:lint:"))
    .join("\n")
    .trim();
}

function partsOf(
  desc: ReturnType<typeof nestedTypes> extends Iterable<infer Type> ? Type : never,
): readonly Commented[] {
  switch (desc.kind) {
    case "message":
      return [desc, ...desc.fields, ...desc.oneofs];
    case "enum":
      return [desc, ...desc.values];
    case "service":
      return [desc, ...desc.methods];
    default:
      return [];
  }
}

function nameOf(desc: Commented): string {
  if (desc.kind === "message" || desc.kind === "enum" || desc.kind === "service") {
    return desc.typeName;
  }
  return `${desc.parent.typeName}.${desc.name}`;
}

runNodeJs(
  createEcmaScriptPlugin({
    name: "comments",
    version: "v1",
    generateTs: (schema) => {
      const file = schema.generateFile("flowcall/comments.ts");
      file.print("/** The comments of the protos, by the name of what they stand at. */");
      file.print("export const comments: Readonly<Record<string, string>> = {");
      for (const proto of schema.files.filter(({ name }) => name.startsWith("flowcall/"))) {
        for (const part of [...nestedTypes(proto)].flatMap(partsOf)) {
          const text = textOf(part);
          if (text !== "") {
            file.print("  ", JSON.stringify(nameOf(part)), ": ", JSON.stringify(text), ",");
          }
        }
      }
      file.print("};");
    },
  }),
);
