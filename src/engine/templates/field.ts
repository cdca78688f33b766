import { type PathPart, readOldPath, readPath } from "../../domain/json/value-path.ts";
import { defaultLimits, type Limits } from "../../domain/limits.ts";
import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import type { ProblemLocation, ProblemReason, Problems } from "../errors/problems.ts";
import type { KnownNames } from "./known-names.ts";
import type { Reference, Source } from "./reference.ts";
import { meantPath } from "./suggest-path.ts";
import { looksComputed } from "./template-syntax.ts";
import { type TextFailure, Texts } from "./text-budget.ts";

/** A template and the field that it stands in. Later checks warn of templates that read nothing. */
export type Read = { readonly location: ProblemLocation; readonly reference: Reference; readonly use: Use };

/** How a field uses the value of a template: `presence` where it may well be missing, since it is only tested or left out. */
export type Use = "taken" | "compared" | "presence";

type NamesLimits = Pick<Limits, "definition" | "output">;

/** What templates may name, and where their problems and reads are gathered. One for each definition. */
export class Names {
  readonly problems: Problems;
  readonly reads: Read[] = [];
  /** Whether a template reads what is set for the linked account. */
  readsFields = false;
  readonly #kinds: ReadonlyMap<string, Node["kind"]["case"]>;
  readonly #idsByName = new Map<string, string[]>();

  readonly limits: NamesLimits;
  readonly #known: (() => KnownNames) | undefined;
  #templates = 0;
  #regexes = 0;

  /** @param known what else is a name; absent where the definition was published before, and is no longer asked */
  constructor(
    nodes: readonly Node[],
    problems: Problems,
    { limits = defaultLimits, known }: { readonly limits?: NamesLimits; readonly known?: () => KnownNames } = {},
  ) {
    this.problems = problems;
    this.limits = limits;
    this.#known = known;
    this.#kinds = new Map(nodes.map((node) => [node.id, node.kind.case]));
    for (const node of nodes) {
      const name = node.name.trim();
      const ids = this.#idsByName.get(name);
      if (ids === undefined) this.#idsByName.set(name, [node.id]);
      else ids.push(node.id);
    }
  }

  /** Whether the definition is to be published. One that was published before runs on as it was taken then. */
  get isNew(): boolean {
    return this.#known !== undefined;
  }

  /** Counts a template, and gives how many there are. */
  countTemplate(): number {
    return ++this.#templates;
  }

  /** Counts a regular expression, and gives how many there are. */
  countRegex(): number {
    return ++this.#regexes;
  }

  /** Whether a name looks like a computation and nothing in the definition is called so. */
  isComputation(name: string): boolean {
    return this.#known !== undefined && looksComputed(name) && !this.#known().has(name);
  }

  /** The ids that a word can mean: an id wins over a name. */
  find(word: string): readonly string[] {
    return this.#kinds.has(word) ? [word] : (this.#idsByName.get(word) ?? []);
  }

  /** What a word that means no node was likely meant to be. */
  meantNode(word: string): string {
    return this.problems.suggestion(word, [...this.#kinds.keys(), ...this.#idsByName.keys()]);
  }

  /** Whether a word means an HTTP node, whose output is more than a body. */
  isHttp(word: string): boolean {
    const [id = ""] = this.find(word);
    return this.#kinds.get(id) === "http";
  }
}

/** In place of what cannot be read, in a definition that is not run. */
const anything: Omit<Reference, "text"> = { source: { kind: "event_body" }, path: [] };

/** One field of one node while it is compiled. */
export class Field {
  readonly #names: Names;
  readonly #nodeId: string;
  readonly #path: string;
  readonly #use: Use;

  constructor(names: Names, nodeId: string, path: string, use: Use = "taken") {
    this.#names = names;
    this.#nodeId = nodeId;
    this.#path = path;
    this.#use = use;
  }

  /** Whether rules that came later apply: see `Names.isNew`. */
  get isNew(): boolean {
    return this.#names.isNew;
  }

  /** For one rendering of what is compiled here. */
  texts(fail?: TextFailure): Texts {
    return new Texts(this.#names.limits.output.bytesMax, fail);
  }

  /** Whether a text is one that may be compiled. One that is longer is reported. */
  isWithin(text: string, limit: "queryMax" | "textMax"): boolean {
    const max = this.#names.limits.definition[limit];
    if (text.length <= max) return true;
    const message = `The text has ${text.length} characters of at most ${max} (limit definition.${limit}). Make it shorter.`;
    this.error("DEFINITION_TOO_LARGE", message);
    return false;
  }

  /** Whether one more regular expression may be compiled. The first that may not is reported. */
  takesRegex(): boolean {
    const { regexesMax } = this.#names.limits.definition;
    const count = this.#names.countRegex();
    if (count === regexesMax + 1) {
      const message = `The definition has more than ${regexesMax} regular expressions (limit definition.regexesMax). Remove some.`;
      this.error("DEFINITION_TOO_LARGE", message);
    }
    return count <= regexesMax;
  }

  #takesTemplate(): boolean {
    const { templatesMax } = this.#names.limits.definition;
    const count = this.#names.countTemplate();
    if (count === templatesMax + 1) {
      const message = `The definition has more than ${templatesMax} templates (limit definition.templatesMax). Remove some.`;
      this.error("DEFINITION_TOO_LARGE", message);
    }
    return count <= templatesMax;
  }

  member(name: string, use = this.#use): Field {
    return new Field(this.#names, this.#nodeId, `${this.#path}.${name}`, use);
  }

  /** The same place, for what may be missing. */
  asking(): Field {
    return new Field(this.#names, this.#nodeId, this.#path, "presence");
  }

  error(reason: ProblemReason, message: string): void {
    this.#names.problems.error(this.#location, reason, message);
  }

  warn(reason: ProblemReason, message: string): void {
    this.#names.problems.warn(this.#location, reason, message);
  }

  /** Compiles what stands between the braces. A definition with a problem is never run, so any reference will do then. */
  reference(between: string): Reference {
    const text = between.trim();
    // The definition is not run, and what it would take to compile the rest of it is saved.
    if (!this.#takesTemplate()) return { text, ...anything };
    const path = readPath(text) ?? (this.isNew ? undefined : readOldPath(text));
    if (path === undefined || path.some(({ name, isQuoted }) => !isQuoted && name.includes("{{"))) {
      this.error(
        "TEMPLATE_MALFORMED",
        `"{{${text}}}" is not a path. Write names with single dots between them, as {{event.body.a}}, an index as [0], and ` +
          "a name with dots or braces as ['a.b'].",
      );
      return { text, ...anything };
    }
    const computes = this.#reportComputation(text, path);
    const parts = path.map(({ name }) => name);
    const found = this.#resolve(text, parts);
    if (found === undefined) return { text, ...anything };
    const reference = { text, ...found };
    if (this.isNew && !computes) this.#names.reads.push({ location: this.#location, reference, use: this.#use });
    return reference;
  }

  /** What would only ever be null is told. The integration declares its fields elsewhere, so they may have any name. */
  #reportComputation(text: string, path: readonly PathPart[]): boolean {
    const [root, second] = path;
    if (root?.name === "application" && second?.name === "fields") return false;
    const isNode = root?.name === "node" && second !== undefined && this.#names.find(second.name.trim()).length > 0;
    const part = path.find(
      (one, index) => !one.isQuoted && !(isNode && index === 1) && this.#names.isComputation(one.name),
    );
    if (part === undefined) return false;
    this.error(
      "TEMPLATE_COMPUTES",
      `"{{${text}}}" computes, and a template only reads. Compute it in the query of a Transform, as {{event.body.n}} * 2, and ` +
        `read that node. If "${part.name}" is a name, write ['${part.name.replaceAll("'", "''")}'].`,
    );
    return true;
  }

  /** Undefined where it names nothing that can be read, which is reported. */
  #resolve(text: string, parts: readonly string[]): Omit<Reference, "text"> | undefined {
    const [root, second, ...rest] = parts;
    switch (root) {
      case "event":
        if (second === "body") {
          return { source: { kind: "event_body" }, path: rest };
        }
        if (second === "headers") {
          // Header names are kept in lower case and may be written in any.
          const [name, ...below] = rest;
          const path = name === undefined ? [] : [name.toLowerCase(), ...below];
          return { source: { kind: "event_headers" }, path };
        }
        break;
      case "workflow":
      case "application":
        if (second === "fields") {
          this.#names.readsFields = true;
          return { source: { kind: `${root}_fields` }, path: rest };
        }
        break;
      case "linked_account":
        return { source: { kind: "linked_account" }, path: parts.slice(1) };
      case "execution":
        if (second === "id" && rest.length === 0) {
          return { source: { kind: "execution_id" }, path: [] };
        }
        break;
      case "node":
        if (second !== undefined) {
          const path = this.#outputPath(second.trim(), rest);
          if (path !== undefined) {
            const source = this.#node(text, second.trim());
            return source && { source, path };
          }
        }
        break;
    }
    const like = meantPath(parts, this.#names);
    this.error(
      "TEMPLATE_UNKNOWN",
      `"{{${text}}}" names nothing that can be read.${like === undefined ? "" : ` Did you mean {{${like}}}?`} Begin with event.body, event.headers, node.<id or name>.body (of an ` +
        "HTTP node also .status and .headers), workflow.fields, application.fields or linked_account, or write execution.id. " +
        "Two braces that are no template are written as {{{{.",
    );
    return undefined;
  }

  /** The path inside of a node's output; undefined where what is asked for is not there in any output of its kind. */
  #outputPath(word: string, [member, ...below]: readonly string[]): readonly string[] | undefined {
    if (!this.#names.isHttp(word)) {
      return member === "body" ? below : undefined;
    }
    const [name, ...deeper] = below;
    switch (member) {
      case "body":
      case "status":
        return [member, ...below];
      case "headers":
        // An answer's header names are in lower case, and may be written in any.
        return name === undefined ? [member] : [member, name.toLowerCase(), ...deeper];
      default:
        return undefined;
    }
  }

  #node(text: string, word: string): Source | undefined {
    const [nodeId, another] = this.#names.find(word);
    if (nodeId === undefined) {
      this.error(
        "TEMPLATE_NODE_UNKNOWN",
        `"{{${text}}}" reads the node "${word}", which does not exist.${this.#names.meantNode(word)}`,
      );
      return undefined;
    }
    if (another !== undefined) {
      this.error(
        "TEMPLATE_NAME_AMBIGUOUS",
        `"{{${text}}}" reads the node "${word}", but several nodes have that name. Write the node's id.`,
      );
      return undefined;
    }
    return { kind: "node", nodeId };
  }

  get #location(): ProblemLocation {
    return { nodeId: this.#nodeId, field: this.#path };
  }
}
