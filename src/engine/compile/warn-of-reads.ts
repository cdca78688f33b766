import type { JsonObject } from "@bufbuild/protobuf";
import { type FieldDeclaration, FieldDeclaration_Type } from "../../gen/flowcall/v1/field_pb.ts";
import type { ProblemLocation, Problems } from "../errors/problems.ts";
import type { Step } from "../graph/graph.ts";
import { closedObject } from "../schema/closed-object.ts";
import { anyItem, type Path } from "../schema/path-step.ts";
import { SchemaPaths } from "../schema/schema-paths.ts";
import type { Read } from "../templates/names.ts";
import type { Reference } from "../templates/reference.ts";
import { iterationSchemaOf, outputSchemaOf } from "./output-schema.ts";
import { SamplePaths } from "./sample-paths.ts";

/** Facts about the values that templates read. */
export type KnownValues = {
  readonly sample: JsonObject | undefined;
  readonly schema: JsonObject | undefined;
  readonly workflowFields: readonly FieldDeclaration[];
  /** The fields that the integration declares. Absent where they are not known. */
  readonly applicationFields: readonly FieldDeclaration[] | undefined;
  /** The steps of the reachable nodes by node id. */
  readonly steps: ReadonlyMap<string, Step>;
  /** Whether a field is evaluated inside of a Group, or at the end of each of its iterations. */
  isInside(location: ProblemLocation, groupId: string): boolean;
};

/** Why a path resolves in no value (`excluded`, `undeclared`), or is only missing in the sample. */
type MissingValue = {
  readonly kind: "excluded" | "undeclared" | "not_in_sample";
  readonly by: string;
  readonly names: readonly string[];
  /** The first step of the path that does not resolve. */
  readonly step: string | undefined;
};

/** Warns of templates that never resolve, and of those whose path neither the sample nor a schema has. */
export class ReadWarnings {
  readonly #known: KnownValues;
  readonly #problems: Problems;
  readonly #event: SchemaPaths | undefined;
  readonly #sample: SamplePaths;
  readonly #schemas = new Map<string, SchemaPaths>();
  readonly #reported = new Set<string>();

  constructor(known: KnownValues, problems: Problems) {
    this.#known = known;
    this.#problems = problems;
    this.#event = known.schema && new SchemaPaths(known.schema);
    this.#sample = new SamplePaths(known.sample);
  }

  /** Warns of one template, if there is a reason. Gives whether there was one. */
  warn({ location, reference, use }: Read): boolean {
    const missing = this.#missingOf(reference, reference.path, location);
    if (missing === undefined || (missing.kind === "not_in_sample" && use === "presence")) {
      return false;
    }
    const key = JSON.stringify([location, reference.text]);
    if (this.#reported.has(key)) {
      return true;
    }
    this.#reported.add(key);
    const suggestion = missing.step === undefined ? "" : this.#problems.suggestion(missing.step, missing.names);
    const [reason, message] = describe(`"{{${reference.text}}}"`, missing, suggestion);
    this.#problems.warn(location, reason, `${message}${use === "compared" ? " That null is what is compared." : ""}`);
    return true;
  }

  #missingOf({ source }: Pick<Reference, "source">, path: Path, location: ProblemLocation): MissingValue | undefined {
    const { workflowFields, applicationFields, steps } = this.#known;
    switch (source.kind) {
      case "event_body":
        return this.#ofEvent(path);
      case "workflow_fields":
        return this.#ofFields("the workflow", workflowFields, path);
      case "application_fields":
        return applicationFields && this.#ofFields("the integration", applicationFields, path);
      case "node": {
        const step = steps.get(source.nodeId);
        if (step === undefined) {
          return undefined;
        }
        if (step.kind === "start") {
          return this.#ofEvent(path);
        }
        return step.kind === "group" && this.#known.isInside(location, source.nodeId)
          ? this.#ofIteration(source.nodeId, step, path)
          : this.#ofOutput(source.nodeId, step, path);
      }
      default:
        return undefined;
    }
  }

  #ofEvent(path: Path): MissingValue | undefined {
    if (this.#event?.mayResolve(path) === false) {
      return {
        kind: "excluded",
        by: "the schema refuses every payload that has it",
        ...this.#unresolvedStep(this.#event, path),
      };
    }
    const missing = this.#sample.missing(path);
    // A sample need not have every member that the schema describes.
    if (missing === undefined || this.#event?.describes(path.slice(0, missing.steps + 1))) {
      return undefined;
    }
    return { kind: "not_in_sample", by: "the sample", names: missing.names, step: nameOf(path[missing.steps]) };
  }

  #ofFields(owner: string, fields: readonly FieldDeclaration[], path: Path): MissingValue | undefined {
    const [name] = path;
    if (name === undefined) {
      return undefined;
    }
    const names = fields.map((field) => field.name);
    if (!names.some((one) => one === name)) {
      return { kind: "undeclared", by: owner, names, step: nameOf(name) };
    }
    const types = fields.map((field) => [field.name, schemas[field.type] ?? {}]);
    return this.#of(
      this.#schemaPaths(owner, closedObject(Object.fromEntries(types))),
      path,
      `${owner} declares it with another type`,
    );
  }

  #ofOutput(id: string, step: Exclude<Step, { readonly kind: "start" }>, path: Path): MissingValue | undefined {
    const known = this.#schemas.get(id) ?? this.#schemaPaths(id, outputSchemaOf(step));
    return this.#of(known, path, `no output of the node "${id}" has it`);
  }

  #ofIteration(id: string, step: Extract<Step, { readonly kind: "group" }>, path: Path): MissingValue | undefined {
    const [name, ...below] = path;
    if (name === "array_item" && step.mode.kind === "array") {
      const { array } = step.mode;
      const location = { nodeId: id, field: "group.array" };
      const inList = this.#missingOf(array, [...array.path, anyItem, ...below], location);
      // One object counts as a list of one item.
      const alone = inList && this.#missingOf(array, [...array.path, ...below], location);
      return alone?.kind === "not_in_sample" ? alone : alone && inList;
    }
    const paths = this.#schemaPaths(`${id} inside`, iterationSchemaOf(step));
    return this.#of(paths, path, `the Group "${id}" gives the nodes inside of it no such value`);
  }

  #of(paths: SchemaPaths, path: Path, by: string): MissingValue | undefined {
    return paths.mayResolve(path) ? undefined : { kind: "excluded", by, ...this.#unresolvedStep(paths, path) };
  }

  #schemaPaths(key: string, schema: ConstructorParameters<typeof SchemaPaths>[0]): SchemaPaths {
    const paths = this.#schemas.get(key) ?? new SchemaPaths(schema);
    this.#schemas.set(key, paths);
    return paths;
  }

  /** The first step of the path that does not resolve, and the names that do at that point. */
  #unresolvedStep(paths: SchemaPaths, path: Path): Pick<MissingValue, "names" | "step"> {
    let length = path.length - 1;
    while (length > 0 && !paths.mayResolve(path.slice(0, length))) {
      length -= 1;
    }
    return { names: paths.namesAt(path.slice(0, length)), step: nameOf(path[length]) };
  }
}

const schemas: Readonly<Record<FieldDeclaration_Type, JsonObject>> = {
  [FieldDeclaration_Type.TYPE_UNSPECIFIED]: {},
  [FieldDeclaration_Type.STRING]: { type: "string" },
  [FieldDeclaration_Type.NUMBER]: { type: "number" },
  [FieldDeclaration_Type.BOOLEAN]: { type: "boolean" },
  [FieldDeclaration_Type.OBJECT]: { type: "object" },
  [FieldDeclaration_Type.ARRAY]: { type: "array" },
};

function describe(template: string, { kind, by, names }: MissingValue, suggestion: string) {
  switch (kind) {
    case "excluded":
      return [
        "TEMPLATE_NEVER_RESOLVES",
        `${template} is always null: ${by}.${suggestion}${listed("Known there", names)}`,
      ] as const;
    case "undeclared": {
      const message = `${template} is null, since ${by} does not declare this field.${suggestion}${listed("Declared", names)}`;
      return ["FIELD_NOT_DECLARED", message] as const;
    }
    case "not_in_sample":
      return [
        "TEMPLATE_NOT_IN_SAMPLE",
        `${template} is not in the sample, and no schema describes it: it is null if a payload does not have it.` +
          `${suggestion}${listed("The sample has", names)} If payloads may have it, add it to the sample.`,
      ] as const;
  }
}

function nameOf(step: Path[number] | undefined): string | undefined {
  return step === anyItem ? undefined : step;
}

const namesMax = 8;

function listed(words: string, names: readonly string[]): string {
  if (names.length === 0) {
    return "";
  }
  const first = names
    .slice(0, namesMax)
    .map((name) => (name.length > 40 ? `${name.slice(0, 40).toWellFormed()}…` : name));
  return ` ${words}: ${first.join(", ")}${names.length > namesMax ? " and others" : ""}.`;
}
