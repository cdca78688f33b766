import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageShape,
} from "@bufbuild/protobuf";
import { didYouMean } from "../../domain/nearest.ts";

export type MessageProblem = { readonly path: readonly (string | number)[]; readonly message: string };

/** Converts JSON to a message, or finds all problems, each with its path. Protobuf alone reports only the first. */
export function messageProblems<T extends DescMessage>(
  schema: T,
  json: JsonValue,
): { readonly message: MessageShape<T>; readonly problems: readonly MessageProblem[] } {
  try {
    return { message: fromJson(schema, json), problems: [] };
  } catch (error) {
    const found = [...inMessage(schema, json, [])];
    const problems = found.length > 0 ? found : [{ path: [], message: reasonOf(error) }];
    return { message: create(schema), problems };
  }
}

type Path = readonly (string | number)[];

function* inMessage(schema: DescMessage, json: JsonValue, path: Path): Iterable<MessageProblem> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    yield { path, message: "must be an object" };
    return;
  }
  for (const [name, value] of Object.entries(json)) {
    const field = schema.fields.find((candidate) => candidate.name === name);
    if (field !== undefined) {
      yield* inField(schema, field, value, [...path, name]);
    } else {
      yield { path: [...path, name], message: unknownField(schema, name) };
    }
  }
  yield* inOneofs(schema, json, path);
}

function unknownField(schema: DescMessage, name: string): string {
  const known = schema.fields.map((field) => field.name);
  return `is not known.${didYouMean(name, known) || ` There are ${known.join(", ")}.`}`;
}

function* inField(schema: DescMessage, field: DescField, json: JsonValue, path: Path): Iterable<MessageProblem> {
  const problem = problemOf(schema, { [field.name]: json });
  if (problem === undefined) {
    return;
  }
  const inner = field.message?.typeName.startsWith("google.protobuf.") === false ? field.message : undefined;
  if (field.fieldKind === "list" && Array.isArray(json)) {
    for (const [index, item] of json.entries()) {
      if (inner !== undefined) {
        yield* inMessage(inner, item, [...path, index]);
      } else if (problemOf(schema, { [field.name]: [item] })) {
        yield { path: [...path, index], message: problem };
      }
    }
  } else if (field.fieldKind === "message" && inner !== undefined) {
    yield* inMessage(inner, json, path);
  } else {
    yield { path, message: field.fieldKind === "list" ? "must be a list" : problem };
  }
}

function* inOneofs(schema: DescMessage, json: JsonObject, path: Path): Iterable<MessageProblem> {
  for (const oneof of schema.oneofs) {
    const given = oneof.fields
      .map(({ name }) => name)
      .filter((name) => json[name] !== undefined && json[name] !== null);
    if (given.length > 1) {
      yield { path, message: `has ${given.join(" and ")}, but only one of them may be set` };
    }
  }
}

function problemOf(schema: DescMessage, json: JsonObject): string | undefined {
  try {
    fromJson(schema, json);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** Protobuf's message without the field names, which the path has already: `expected string, got 5`. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^cannot decode .*? from JSON:? ?/, "") || text;
}
