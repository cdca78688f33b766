// Schemas with their comments, a row for each property; what a property holds unfolds below it.

import { resolved, schemaNames } from "./api.js";
import { make, prose } from "./dom.js";

function nameOf(schema) {
  return schema?.$ref?.split("/").at(-1);
}

/** A type in a few words, which lead to its schema where it has a name. */
function typeWords(schema) {
  const name = nameOf(schema);
  if (name !== undefined) {
    return [make("a", { href: `#schema/${name}` }, name)];
  }
  if (schema.type === "array") {
    return ["list of ", ...typeWords(schema.items ?? {})];
  }
  if (typeof schema.additionalProperties === "object") {
    return ["map to ", ...typeWords(schema.additionalProperties)];
  }
  return [schema.format ?? schema.type ?? "any value"];
}

/** What a property holds that has properties of its own: itself, the items of a list, the values of a map. */
function innerOf(schema) {
  if (schema.type === "array") {
    return innerOf(schema.items ?? {});
  }
  if (typeof schema.additionalProperties === "object") {
    return innerOf(schema.additionalProperties);
  }
  const real = resolved(schema);
  return real.properties === undefined ? undefined : real;
}

function boundsOf(schema) {
  const words = { minimum: "at least", maximum: "at most", minLength: "at least", maxLength: "at most" };
  const bounds = Object.entries(words).flatMap(([key, word]) => {
    if (schema[key] === undefined) {
      return [];
    }
    return [`${word} ${schema[key]}${key.endsWith("Length") ? " characters" : ""}`];
  });
  return [...bounds, ...(schema.pattern === undefined ? [] : [`matches ${schema.pattern}`])];
}

function propertyRow(name, schema, isRequired) {
  const marks = [
    ...(isRequired ? ["required"] : []),
    ...(schema["x-one-of"] === undefined ? [] : [`one of ${schema["x-one-of"]}`]),
    ...boundsOf(schema),
  ];
  const { enum: words } = resolved(schema);
  const text = schema.description ?? resolved(schema).description ?? "";
  const row = make(
    "li",
    {},
    make(
      "p",
      { class: "property" },
      make("code", {}, name),
      " ",
      make("span", { class: "type" }, ...typeWords(schema)),
    ),
    ...(marks.length === 0 ? [] : [make("p", { class: "dim" }, marks.join(" · "))]),
    ...(text === "" ? [] : prose(text)),
    ...(words === undefined ? [] : [make("p", { class: "dim" }, words.join(" | "))]),
  );
  const inner = innerOf(schema);
  if (inner !== undefined) {
    row.append(unfolding(inner));
  }
  return row;
}

/** Filled when it is opened: some schemas hold themselves. */
function unfolding(schema) {
  const details = make("details", {}, make("summary", {}, "its fields"));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) {
      details.append(schemaList(schema));
    }
  });
  return details;
}

/** The properties of a schema, or its type where it has none. */
export function schemaList(schema) {
  const real = resolved(schema);
  if (real.properties === undefined) {
    const inner = innerOf(real);
    const type = make("p", {}, make("span", { class: "type" }, ...typeWords(schema)));
    return inner === undefined ? type : make("div", {}, type, unfolding(inner));
  }
  const rows = Object.entries(real.properties).map(([name, value]) =>
    propertyRow(name, value, real.required?.includes(name)),
  );
  return make("ul", { class: "schema" }, ...rows);
}

/** A page about one schema; undefined where there is none of the name. */
export function schemaPage(name) {
  if (!schemaNames.includes(name)) {
    return undefined;
  }
  const schema = { $ref: `#/components/schemas/${name}` };
  const { description = "", enum: words } = resolved(schema);
  const values = words === undefined ? [schemaList(schema)] : [make("p", {}, words.join(" | "))];
  return [make("h2", {}, name), ...prose(description), ...values];
}
