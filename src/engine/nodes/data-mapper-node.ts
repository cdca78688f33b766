import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import { type DataMapperNode, DataMapperNode_Direction } from "../../gen/flowcall/v1/definition_pb.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { compileJson } from "../templates/json-template.ts";
import type { Attempt, Leaf, LeafTools } from "./leaf.ts";

/** Writes the members of an object, or of each object of a list, under other names. */
export function compileDataMapper(message: DataMapperNode, { field, limits }: LeafTools): Leaf {
  const input = compileJson(message.input, limits.output, field.member("input"));
  const mapping = compileJson(message.mapping, limits.output, field.member("mapping"));
  const isReversed = message.direction === DataMapperNode_Direction.DESTINATION_TO_SOURCE;
  return {
    run: (attempt) => {
      const [value, map] = [input.render(attempt.scope), mapping.render(attempt.scope)];
      if (value === null || map === null) {
        // One field that nobody has set must not end what the other branches do.
        attempt.note(`The ${value === null ? "input" : "mapping"} is null, so the output is empty.`);
        return {};
      }
      return mapAll(value, writesOf(map, isReversed), attempt);
    },
    isComputation: true,
  };
}

/** Under which name a member is written, and its place in the mapping. */
type Write = { readonly place: number; readonly name: string };

/** What becomes of each member, by its name. */
function writesOf(mapping: JsonValue, isReversed: boolean): ReadonlyMap<string, readonly Write[]> {
  const writes = new Map<string, Write[]>();
  let place = 0;
  for (const [source, destinations] of pairsOf(mapping)) {
    for (const destination of namesOf(source, destinations)) {
      const [from, name] = isReversed ? [destination, source] : [source, destination];
      const known = writes.get(from) ?? [];
      writes.set(from, known);
      known.push({ place, name });
      place += 1;
    }
  }
  return writes;
}

function pairsOf(mapping: JsonValue): readonly (readonly [string, JsonValue])[] {
  if (isObject(mapping)) {
    return Object.entries(mapping);
  }
  if (!Array.isArray(mapping)) {
    throw invalidMapping("it is neither an object nor a list of pairs");
  }
  return mapping.map((pair, index) => {
    const { key, source = key, value, destination = value ?? null } = isObject(pair) ? pair : {};
    if (typeof source !== "string") {
      throw invalidMapping(`its pair ${index} has no text as its source`);
    }
    return [source, destination];
  });
}

/** The names on the other side; none where they are null or empty, which leaves the member out. */
function namesOf(source: string, destinations: JsonValue): readonly string[] {
  const all = Array.isArray(destinations) ? destinations : [destinations ?? ""];
  return all.filter((name) => {
    if (typeof name !== "string") {
      throw invalidMapping(
        `what "${source.slice(0, shownCharsMax)}" becomes is neither a text, a list of texts nor null`,
      );
    }
    return name !== "";
  }) as string[];
}

const shownCharsMax = 100;

function mapAll(input: JsonValue, writes: ReadonlyMap<string, readonly Write[]>, attempt: Attempt): JsonValue {
  const collisions = new Set<string>();
  const { valuesMax } = attempt.limits.output;
  let written = 0;
  const mapOne = (value: JsonValue, what: string): JsonObject => {
    if (!isObject(value)) {
      throw new NodeFailure("MAPPER_INPUT_INVALID", `${what} is no object. Give an object, or a list of objects.`, {
        isFinal: true,
      });
    }
    // Goes through the members that there are, not through the mapping, so that the work is bounded by the input and output.
    const found = Object.entries(value).flatMap(([name, member]) => {
      const own = writes.get(name) ?? [];
      written += own.length;
      if (written > valuesMax) {
        const message = `The output has more than ${valuesMax} values (limit output.valuesMax). Map less at once.`;
        throw new NodeFailure("OUTPUT_TOO_LARGE", message, { isFinal: true });
      }
      return own.map((write) => ({ ...write, member }));
    });
    const members = new Map<string, JsonValue>();
    for (const { name, member } of found.sort((left, right) => left.place - right.place)) {
      if (members.has(name)) {
        collisions.add(name);
      }
      members.set(name, member);
    }
    return Object.fromEntries(members);
  };
  const output = Array.isArray(input)
    ? input.map((value, index) => mapOne(value, `Item ${index} of the input`))
    : mapOne(input, "The input");
  noteCollisions(collisions, attempt);
  return output;
}

function noteCollisions(collisions: ReadonlySet<string>, attempt: Attempt): void {
  const [first] = collisions;
  if (first !== undefined) {
    const others = collisions.size === 1 ? "" : ` So it is with ${collisions.size - 1} more.`;
    attempt.note(
      `MAPPER_COLLISION: several members are written as "${first.slice(0, shownCharsMax)}"; the last of the mapping is kept.${others}`,
    );
  }
}

function invalidMapping(what: string): NodeFailure {
  const advice = 'Write {"source": "destination"}, or a list of {"key", "value"}.';
  return new NodeFailure("MAPPER_MAPPING_INVALID", `The mapping cannot be read: ${what}. ${advice}`, { isFinal: true });
}
