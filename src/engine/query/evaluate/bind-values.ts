import type { JsonValue } from "@bufbuild/protobuf";
import { NodeFailure } from "../../errors/node-failure.ts";
import { TextBudget, type TextFailure } from "../../templates/text-budget.ts";

/** TextBudget in a query may be this many times as long as an output: a step may double a text that the query then cuts again. */
export const textFactor = 4;

/** The value of a template in a query: `text` where the template stands inside a string literal, `value` elsewhere. */
export type BoundValue = {
  readonly name: string;
  readonly form: "value" | "text";
  readonly value: JsonValue | undefined;
};

/** Variables by name. One that is present and undefined is JSONata's "nothing", like a path that does not resolve. */
export type Bindings = Readonly<Record<string, JsonValue | undefined>>;

/** Makes the variables of a query. Fails with EXPRESSION_ERROR where the texts among them are together too long. */
export function bindValues(values: readonly BoundValue[], outputBytesMax: number): Bindings {
  const texts = new TextBudget(outputBytesMax * textFactor, textsTooLarge);
  const bindings: Record<string, JsonValue | undefined> = {};
  for (const { name, form, value } of values) {
    bindings[name] = form === "text" ? texts.takeValue(value) : value;
  }
  return bindings;
}

const textsTooLarge: TextFailure = (max) => {
  const message = `The query failed: The templates in its texts came out with more than ${max} characters.`;
  return new NodeFailure("EXPRESSION_ERROR", message);
};
