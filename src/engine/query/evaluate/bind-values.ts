import type { JsonValue } from "@bufbuild/protobuf";
import { NodeFailure } from "../../errors/node-failure.ts";
import { type TextFailure, Texts } from "../../templates/text-budget.ts";

/** How long texts in a query may be, in outputs: a step can double one, and the next would again. */
export const textFactor = 4;

/** What a template of a query read: `text` inside a string literal, `value` elsewhere. */
export type BoundValue = {
  readonly name: string;
  readonly form: "value" | "text";
  readonly value: JsonValue | undefined;
};

/** What is undefined is there and is JSONata's nothing, as the value of a path that leads nowhere. */
export type Bindings = Readonly<Record<string, JsonValue | undefined>>;

/** The variables of a query. Fails with EXPRESSION_ERROR where the texts among them are too long together. */
export function bindValues(values: readonly BoundValue[], outputBytesMax: number): Bindings {
  const texts = new Texts(outputBytesMax * textFactor, textsTooLarge);
  const bindings: Record<string, JsonValue | undefined> = {};
  for (const { name, form, value } of values) bindings[name] = form === "text" ? texts.takeValue(value) : value;
  return bindings;
}

const textsTooLarge: TextFailure = (max) => {
  const message = `The query failed: The templates in its texts came out with more than ${max} characters.`;
  return new NodeFailure("EXPRESSION_ERROR", message);
};
