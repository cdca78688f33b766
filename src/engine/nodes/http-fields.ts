import type { HttpField } from "../../gen/flowcall/v1/definition_pb.ts";
import type { Field } from "../templates/field.ts";
import type { Scope } from "../templates/reference.ts";
import { requestTooLarge, type Texts } from "../templates/text-budget.ts";
import { loneReference, splitTemplates, textTemplate } from "../templates/text-template.ts";

/** Names and values, in the author's order. */
export type RenderPairs = (scope: Scope) => readonly (readonly [name: string, value: string])[];

/**
 * Compiles names with values. The names are the author's alone, so that data adds no field of another name. A value that is
 * an array repeats its name.
 */
export function compileFields(fields: readonly HttpField[], placeOf: (index: number) => Field): RenderPairs {
  const compiled = fields.map(({ key, value }, index) => {
    const place = placeOf(index);
    checkName(key, place.member("key"));
    return [key, compileRepeated(value, place.member("value"))] as const;
  });
  const [[, first] = []] = compiled;
  return (scope) => {
    const texts = first?.texts();
    return compiled.flatMap(([key, { render }]) =>
      // Each repetition is as long as its name at least.
      render(scope, texts).map((text, index) => [index === 0 ? key : (texts?.take(key) ?? key), text] as const),
    );
  };
}

/** Gives the pairs whose values are there. All of them are one rendering. */
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
  readonly render: (scope: Scope, texts?: Texts) => string | undefined;
  /** For one rendering of this and others. */
  readonly texts: () => Texts;
};

/** A text with templates. A lone template that gives null gives undefined: there is nothing to send. */
export function compileOptional(text: string, field: Field): OptionalText {
  const pieces = splitTemplates(text, readingMaybe(text, field));
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

/** A text that may be there any number of times. */
type RepeatedText = {
  readonly render: (scope: Scope, texts?: Texts) => readonly string[];
  readonly texts: () => Texts;
};

/** A text with templates. A lone template that gives an array gives a text for each of its items that is not null. */
export function compileRepeated(text: string, field: Field): RepeatedText {
  const pieces = splitTemplates(text, readingMaybe(text, field));
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

/** What is left out where it is null may well be missing. */
function readingMaybe(text: string, field: Field): Field {
  return /^\s*\{\{[^{}]*\}\}\s*$/.test(text) ? field.asking() : field;
}

export function checkName(name: string, field: Field): void {
  if (name === "") {
    field.error("FIELD_NAME_INVALID", "The name is empty. Write one, or remove the field.");
  }
  if (name.includes("{{")) {
    field.error("TEMPLATE_MISPLACED", "A template cannot be a name: data must not change the structure.");
  }
}

/** A URL with more parameters. Data in them stays data: names and values are percent-encoded. */
export function withQuery(url: string, parameters: readonly (readonly [name: string, value: string])[]): string {
  if (parameters.length === 0) {
    return url;
  }
  const [base = ""] = url.split("#");
  const added = parameters.map((pair) => pair.map((text) => encodeURIComponent(text.toWellFormed())).join("="));
  return `${base}${base.includes("?") ? "&" : "?"}${added.join("&")}`;
}

/** A URL in which a parameter has this value alone: what it has of that name already is replaced. */
export function withParameter(url: string, name: string, value: string): string {
  const [base = ""] = url.split("#");
  const start = base.indexOf("?");
  if (start < 0) return withQuery(base, [[name, value]]);
  const kept = base.slice(start + 1).split("&");
  const others = kept.filter((pair) => nameOf(pair) !== name);
  const rest =
    others.length === kept.length ? base : `${base.slice(0, start)}${others.length > 0 ? "?" : ""}${others.join("&")}`;
  return withQuery(rest, [[name, value]]);
}

/** The name of a parameter as a URL writes it; the text itself where its escapes cannot be read. */
function nameOf(pair: string): string {
  const [written = ""] = pair.split("=", 1);
  try {
    return decodeURIComponent(written.replaceAll("+", " "));
  } catch {
    return written;
  }
}
