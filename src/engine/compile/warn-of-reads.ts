import type { JsonObject } from "@bufbuild/protobuf";
import { type FieldDeclaration, FieldDeclaration_Type } from "../../gen/flowcall/v1/field_pb.ts";
import type { Place, Problems } from "../errors/problems.ts";
import type { Step } from "../graph/graph.ts";
import { closedObject } from "../schema/closed-object.ts";
import { anyItem, type Path, SchemaPaths } from "../schema/schema-paths.ts";
import type { Read } from "../templates/field.ts";
import type { Reference } from "../templates/reference.ts";
import { iterationSchemaOf, outputSchemaOf } from "./output-schema.ts";
import { SamplePaths } from "./sample-paths.ts";

/** What is known of the values that templates read. */
export type Known = {
  readonly sample: JsonObject | undefined;
  readonly schema: JsonObject | undefined;
  readonly workflowFields: readonly FieldDeclaration[];
  /** Those of the integration; absent where it is not known. */
  readonly applicationFields: readonly FieldDeclaration[] | undefined;
  /** What each node that may run does. */
  readonly steps: ReadonlyMap<string, Step>;
  /** Whether a place is inside of a Group, or is read at the end of each of its iterations. */
  isInside(place: Place, groupId: string): boolean;
};

/** What is known of a path: that it is in no value, or that it is not in the sample, and nothing else describes it. */
type Verdict = {
  readonly kind: "excluded" | "undeclared" | "not_in_sample";
  readonly by: string;
  readonly names: readonly string[];
  /** The first step that leads nowhere. */
  readonly step: string | undefined;
};

/** Warns of templates that read nothing. What may resolve is warned of only where the sample alone lacks it. */
export class ReadWarnings {
  readonly #known: Known;
  readonly #problems: Problems;
  readonly #event: SchemaPaths | undefined;
  readonly #sample: SamplePaths;
  readonly #schemas = new Map<string, SchemaPaths>();
  readonly #told = new Set<string>();

  constructor(known: Known, problems: Problems) {
    this.#known = known;
    this.#problems = problems;
    this.#event = known.schema && new SchemaPaths(known.schema);
    this.#sample = new SamplePaths(known.sample);
  }

  /** Whether there was something to warn of. */
  warn({ place, reference, use }: Read): boolean {
    const verdict = this.#verdictOf(reference, reference.path, place);
    if (verdict === undefined || (verdict.kind === "not_in_sample" && use === "asked")) return false;
    const key = JSON.stringify([place, reference.text]);
    if (this.#told.has(key)) return true;
    this.#told.add(key);
    const like = verdict.step === undefined ? "" : this.#problems.meant(verdict.step, verdict.names);
    const [reason, message] = told(`"{{${reference.text}}}"`, verdict, like);
    this.#problems.warn(place, reason, `${message}${use === "compared" ? " What is compared is that null." : ""}`);
    return true;
  }

  #verdictOf({ source }: Pick<Reference, "source">, path: Path, place: Place): Verdict | undefined {
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
        if (step === undefined) return undefined;
        if (step.kind === "start") return this.#ofEvent(path);
        return step.kind === "group" && this.#known.isInside(place, source.nodeId)
          ? this.#ofIteration(source.nodeId, step, path)
          : this.#ofOutput(source.nodeId, step, path);
      }
      default:
        return undefined;
    }
  }

  #ofEvent(path: Path): Verdict | undefined {
    if (this.#event?.mayResolve(path) === false) {
      return {
        kind: "excluded",
        by: "the schema takes no payload that has it",
        ...this.#lackOf(this.#event, path),
      };
    }
    const lack = this.#sample.lackOf(path);
    // Of what the schema describes the sample need not have any.
    if (lack === undefined || this.#event?.describes(path.slice(0, lack.steps + 1))) return undefined;
    return { kind: "not_in_sample", by: "the sample", names: lack.names, step: nameOf(path[lack.steps]) };
  }

  #ofFields(owner: string, fields: readonly FieldDeclaration[], path: Path): Verdict | undefined {
    const [name] = path;
    if (name === undefined) return undefined;
    const names = fields.map((field) => field.name);
    if (!names.some((one) => one === name)) return { kind: "undeclared", by: owner, names, step: nameOf(name) };
    const types = fields.map((field) => [field.name, schemas[field.type] ?? {}]);
    return this.#of(
      this.#schemaPaths(owner, closedObject(Object.fromEntries(types))),
      path,
      `${owner} declares it otherwise`,
    );
  }

  #ofOutput(id: string, step: Exclude<Step, { readonly kind: "start" }>, path: Path): Verdict | undefined {
    const known = this.#schemas.get(id) ?? this.#schemaPaths(id, outputSchemaOf(step));
    return this.#of(known, path, `no output of the node "${id}" has it`);
  }

  #ofIteration(id: string, step: Extract<Step, { readonly kind: "group" }>, path: Path): Verdict | undefined {
    const [name, ...below] = path;
    if (name === "array_item" && step.mode.kind === "array") {
      const { array } = step.mode;
      const place = { nodeId: id, field: "group.array" };
      const inList = this.#verdictOf(array, [...array.path, anyItem, ...below], place);
      // One object counts as a list of one.
      const alone = inList && this.#verdictOf(array, [...array.path, ...below], place);
      return alone?.kind === "not_in_sample" ? alone : alone && inList;
    }
    const paths = this.#schemaPaths(`${id} inside`, iterationSchemaOf(step));
    return this.#of(paths, path, `the Group "${id}" gives the nodes inside of it something else`);
  }

  #of(paths: SchemaPaths, path: Path, by: string): Verdict | undefined {
    return paths.mayResolve(path) ? undefined : { kind: "excluded", by, ...this.#lackOf(paths, path) };
  }

  #schemaPaths(key: string, schema: ConstructorParameters<typeof SchemaPaths>[0]): SchemaPaths {
    const paths = this.#schemas.get(key) ?? new SchemaPaths(schema);
    this.#schemas.set(key, paths);
    return paths;
  }

  /** The first step that leads nowhere, and what there is beside it. */
  #lackOf(paths: SchemaPaths, path: Path): Pick<Verdict, "names" | "step"> {
    let length = path.length - 1;
    while (length > 0 && !paths.mayResolve(path.slice(0, length))) length -= 1;
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

function told(template: string, { kind, by, names }: Verdict, like: string) {
  switch (kind) {
    case "excluded":
      return [
        "TEMPLATE_NEVER_RESOLVES",
        `${template} is always null: ${by}.${like}${listed("Known there", names)}`,
      ] as const;
    case "undeclared": {
      const message = `${template} is null, since ${by} does not declare this field.${like}${listed("Declared", names)}`;
      return ["FIELD_NOT_DECLARED", message] as const;
    }
    case "not_in_sample":
      return [
        "TEMPLATE_NOT_IN_SAMPLE",
        `${template} is not in the sample, and no schema describes it: it is null where a payload does not have it.` +
          `${like}${listed("The sample has", names)} If payloads may have it, add it to the sample.`,
      ] as const;
  }
}

function nameOf(step: Path[number] | undefined): string | undefined {
  return step === anyItem ? undefined : step;
}

const namesMax = 8;

function listed(words: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  const first = names
    .slice(0, namesMax)
    .map((name) => (name.length > 40 ? `${name.slice(0, 40).toWellFormed()}…` : name));
  return ` ${words}: ${first.join(", ")}${names.length > namesMax ? " and others" : ""}.`;
}
