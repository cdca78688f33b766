import type { JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import { anyItem, type Path } from "../schema/path-step.ts";
import { isIndex } from "../templates/reference.ts";

/** The part of a path that a sample has: the number of its steps, and the names that the sample has after them. */
export type MissingPath = { readonly steps: number; readonly names: readonly string[] };

/** The number of values in the sample that are visited for one definition. Beyond it, every path counts as present. */
const visitsMax = 100_000;

/** Looks paths up in the sample payload of a definition. */
export class SamplePaths {
  readonly #sample: JsonValue | undefined;
  #visits = 0;

  constructor(sample: JsonValue | undefined) {
    this.#sample = sample;
  }

  /**
   * Says where a path leaves the sample. Undefined where the path resolves, and where the sample does not tell: an empty
   * object, an empty list and null may stand for any value, and one item of a list is enough.
   */
  missing(path: Path): MissingPath | undefined {
    return this.#missingIn(this.#sample, path, 0);
  }

  #missingIn(value: JsonValue | undefined, path: Path, steps: number): MissingPath | undefined {
    this.#visits += 1;
    const step = path[steps];
    if (step === undefined || value === null || value === undefined || this.#visits > visitsMax) {
      return undefined;
    }
    if (Array.isArray(value)) {
      if (value.length === 0) {
        return undefined;
      }
      if (step !== anyItem && !isIndex(step)) {
        return { steps, names: [] };
      }
      const missing = value.map((item) => this.#missingIn(item, path, steps + 1));
      return missing.includes(undefined) ? undefined : missing[0];
    }
    if (!isObject(value)) {
      return { steps, names: [] };
    }
    if (step !== anyItem && Object.hasOwn(value, step)) {
      return this.#missingIn(value[step], path, steps + 1);
    }
    const names = Object.keys(value);
    this.#visits += names.length;
    return names.length === 0 ? undefined : { steps, names };
  }
}
