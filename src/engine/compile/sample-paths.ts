import type { JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import { anyItem, type Path } from "../schema/schema-paths.ts";
import { isIndex } from "../templates/reference.ts";

/** What a sample lacks of a path: how many steps of it are there, and the names that the sample has behind them. */
export type Lack = { readonly steps: number; readonly names: readonly string[] };

/** How many values of a sample are looked at for one definition. When that is spent, the sample does not say. */
const visitsMax = 100_000;

/** The sample payload of a definition. */
export class SamplePaths {
  readonly #sample: JsonValue | undefined;
  #visits = 0;

  constructor(sample: JsonValue | undefined) {
    this.#sample = sample;
  }

  /**
   * Says where the sample has nothing of a path. Undefined where the path resolves, and where the sample does not say: an
   * object or a list without anything in it and a null stand for any, and one item of a list for each.
   */
  lackOf(path: Path): Lack | undefined {
    return this.#lackIn(this.#sample, path, 0);
  }

  #lackIn(value: JsonValue | undefined, path: Path, steps: number): Lack | undefined {
    this.#visits += 1;
    const step = path[steps];
    if (step === undefined || value === null || value === undefined || this.#visits > visitsMax) return undefined;
    if (Array.isArray(value)) {
      if (value.length === 0) return undefined;
      if (step !== anyItem && !isIndex(step)) return { steps, names: [] };
      const lacks = value.map((item) => this.#lackIn(item, path, steps + 1));
      return lacks.includes(undefined) ? undefined : lacks[0];
    }
    if (!isObject(value)) return { steps, names: [] };
    if (step !== anyItem && Object.hasOwn(value, step)) return this.#lackIn(value[step], path, steps + 1);
    const names = Object.keys(value);
    this.#visits += names.length;
    return names.length === 0 ? undefined : { steps, names };
  }
}
