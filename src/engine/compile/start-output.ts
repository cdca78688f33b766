import type { JsonValue } from "@bufbuild/protobuf";
import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import { Field } from "../templates/field.ts";
import type { Names } from "../templates/names.ts";
import type { Template } from "../templates/reference.ts";
import { compileValue } from "../templates/text-template.ts";

/** The path of the output in a Start node's "API Call" panel. */
export const startOutputField = "start.api_call.output";

/** Compiles the response of a run in which no Response node has run. Undefined where the panel has no output. */
export function compileStartOutput(start: Node | undefined, names: Names): Template<JsonValue> | undefined {
  const trigger = start?.kind.case === "start" ? start.kind.value.trigger : undefined;
  if (start === undefined || trigger?.case !== "apiCall" || trigger.value.output.length === 0) {
    return undefined;
  }
  const panel = new Field(names, start.id, startOutputField);
  const keys = new Set<string>();
  const members = trigger.value.output.map(({ key, value }, index) => {
    const field = new Field(names, start.id, `${startOutputField}[${index}]`);
    if (key === "" || keys.has(key)) {
      field.member("key").error("OUTPUT_KEY_INVALID", `Each output needs a key of its own, unlike "${key}".`);
    }
    keys.add(key);
    return [key, compileValue(value, field.member("value"))] as const;
  });
  return {
    references: members.flatMap(([, template]) => template.references),
    render: (scope, texts = panel.texts()) =>
      Object.fromEntries(members.map(([key, template]) => [key, template.render(scope, texts)])),
  };
}
