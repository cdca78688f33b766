import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { FieldDeclaration } from "../../gen/flowcall/v1/field_pb.ts";

/** The names of members in the sample, the schema and the declared fields of a definition. */
export class KnownNames {
  readonly #names = new Set<string>();

  constructor(sample: JsonObject | undefined, schema: JsonObject | undefined, fields: readonly FieldDeclaration[]) {
    for (const { name } of fields) {
      this.#names.add(name);
    }
    this.#addMembers(sample);
    this.#addMembers(schema);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Adds the names of members at any depth. In a schema, those of `properties` are among them. */
  #addMembers(root: JsonValue | undefined): void {
    const waiting = [root];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (typeof next !== "object" || next === null) {
        continue;
      }
      if (!Array.isArray(next)) {
        for (const name of Object.keys(next)) {
          this.#names.add(name);
        }
      }
      for (const value of Object.values(next)) {
        waiting.push(value);
      }
    }
  }
}
