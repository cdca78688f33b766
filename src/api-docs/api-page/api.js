// What /openapi.json says, as the other parts of the page ask for it.

export const api = await (await fetch("/openapi.json")).json();

export const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([verb, operation]) => ({ path, verb, ...operation })),
);

export const schemaNames = Object.keys(api.components.schemas);

/** What a reference stands for. */
export function resolved(schema) {
  if (schema?.$ref === undefined) {
    return schema ?? {};
  }
  return schema.$ref
    .slice(2)
    .split("/")
    .reduce((place, part) => place[part], api);
}

/** The values that a schema allows, where they are few and known. */
export function choicesOf(schema) {
  const { enum: words, type } = resolved(schema);
  return words ?? (type === "boolean" ? ["true", "false"] : undefined);
}
