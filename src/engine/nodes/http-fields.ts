import type { HttpField } from "../../gen/flowcall/v1/definition_pb.ts";
import type { Field } from "../templates/field.ts";
import type { Scope } from "../templates/reference.ts";
import { requestTooLarge, type TextBudget } from "../templates/text-budget.ts";
import { loneReference, splitTemplates, textTemplate } from "../templates/text-template.ts";

/** Renders names and values, in the author's order. */
export type RenderPairs = (scope: Scope) => readonly (readonly [name: string, value: string])[];

/**
 * Compiles names with values. Names cannot contain templates, so that data cannot inject a field. An array as the value
 * repeats its name for each item.
 */
export function compileFields(fields: readonly HttpField[], memberOf: (index: number) => Field): RenderPairs {
  const compiled = fields.map(({ key, value }, index) => {
    const member = memberOf(index);
    checkName(key, member.member("key"));
    return [key, compileRepeated(value, member.member("value"))] as const;
  });
  const [[, first] = []] = compiled;
  return (scope) => {
    const texts = first?.texts();
    return compiled.flatMap(([key, { render }]) =>
      // A repetition counts its name against the limit too.
      render(scope, texts).map((text, index) => [index === 0 ? key : (texts?.take(key) ?? key), text] as const),
    );
  };
}

/** Renders the pairs whose values are present. All of them share one limit of length. */
export function renderPairs(pairs: readonly (readonly [string, OptionalText])[]): RenderPairs {
  const [[, first] = []] = pairs;
  return (scope) => {
    const texts = first?.texts();
    return pairs.flatMap(([key, { render }]) => {
      const value = render(scope, texts);
      return value === undefined ? [] : [[key, value] as const];
    });
  };
}

/** A text that may be absent. */
export type OptionalText = {
  readonly render: (scope: Scope, texts?: TextBudget) => string | undefined;
  /** Makes the limit of length for a rendering of this and other texts. */
  readonly texts: () => TextBudget;
};

/** Compiles a text with templates. It is absent where a lone template gives null. */
export function compileOptional(text: string, field: Field): OptionalText {
  const pieces = splitTemplates(text, optionalReads(text, field));
  const lone = loneReference(pieces);
  const texts = () => field.texts(requestTooLarge);
  if (lone === undefined) {
    return { render: textTemplate(pieces, field).render, texts };
  }
  const render: OptionalText["render"] = (scope, made = texts()) => {
    const value = scope.read(lone) ?? null;
    return value === null ? undefined : made.takeValue(value);
  };
  return { render, texts };
}

/** A text that may be present any number of times. */
type RepeatedText = {
  readonly render: (scope: Scope, texts?: TextBudget) => readonly string[];
  readonly texts: () => TextBudget;
};

/** Compiles a text with templates. A lone template that gives an array gives a text for each item that is not null. */
export function compileRepeated(text: string, field: Field): RepeatedText {
  const pieces = splitTemplates(text, optionalReads(text, field));
  const lone = loneReference(pieces);
  const texts = () => field.texts(requestTooLarge);
  if (lone === undefined) {
    const { render } = textTemplate(pieces, field);
    return { render: (scope, made) => [render(scope, made)], texts };
  }
  const render: RepeatedText["render"] = (scope, made = texts()) => {
    const value = scope.read(lone) ?? null;
    const items = Array.isArray(value) ? value : [value];
    return items.filter((item) => item !== null).map((item) => made.takeValue(item));
  };
  return { render, texts };
}

/** The value of a lone template is left out where it is null, so there is no warning that it may be missing. */
function optionalReads(text: string, field: Field): Field {
  return /^\s*\{\{[^{}]*\}\}\s*$/.test(text) ? field.forPresence() : field;
}

export function checkName(name: string, field: Field): void {
  if (name === "") {
    field.error("FIELD_NAME_INVALID", "The name is empty. Write one, or remove the field.");
  }
  if (name.includes("{{")) {
    field.error("TEMPLATE_MISPLACED", "A template cannot be a name: data must not change the structure.");
  }
}
