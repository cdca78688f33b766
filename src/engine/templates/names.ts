import { defaultLimits, type Limits } from "../../domain/limits.ts";
import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import type { ProblemLocation, Problems } from "../errors/problems.ts";
import type { KnownNames } from "./known-names.ts";
import type { NodeFact, Reference } from "./reference.ts";
import { looksComputed } from "./template-syntax.ts";

type NamesLimits = Pick<Limits, "definition" | "output">;

/** The names that templates may use in one definition. It also collects their problems and reads. */
export class Names {
  readonly problems: Problems;
  readonly reads: Read[] = [];
  /** The variables that nodes send, by node id. */
  readonly variables = new Map<string, Set<string>>();
  /** Whether a template reads fields whose values are set for the linked account. */
  readsFields = false;
  readonly #kinds: ReadonlyMap<string, Node["kind"]["case"]>;
  readonly #idsByName = new Map<string, string[]>();
  readonly #groups: ReadonlyMap<string, string | undefined>;

  readonly limits: NamesLimits;
  readonly #known: (() => KnownNames) | undefined;
  #templates = 0;
  #regexes = 0;

  /** @param known further names in the definition; absent for one that was published before, which later rules do not concern */
  constructor(
    nodes: readonly Node[],
    problems: Problems,
    { limits = defaultLimits, known }: { readonly limits?: NamesLimits; readonly known?: () => KnownNames } = {},
  ) {
    this.problems = problems;
    this.limits = limits;
    this.#known = known;
    this.#kinds = new Map(nodes.map((node) => [node.id, node.kind.case]));
    this.#groups = new Map(nodes.map((node) => [node.id, node.groupId]));
    for (const node of nodes) {
      const name = node.name.trim();
      const ids = this.#idsByName.get(name);
      if (ids === undefined) {
        this.#idsByName.set(name, [node.id]);
      } else {
        ids.push(node.id);
      }
    }
  }

  /** Whether the definition is new. A published one keeps to the rules that it was published under. */
  get isNew(): boolean {
    return this.#known !== undefined;
  }

  /** Counts a template, and gives the number of templates so far. */
  countTemplate(): number {
    return ++this.#templates;
  }

  /** Counts a regular expression, and gives the number of them so far. */
  countRegex(): number {
    return ++this.#regexes;
  }

  /** Whether a name looks like a computation, and is not a name in the definition. */
  isComputation(name: string): boolean {
    return this.#known !== undefined && looksComputed(name) && !this.#known().has(name);
  }

  /** The ids of the nodes that a word can mean. An id takes precedence over a name. */
  find(word: string): readonly string[] {
    return this.#kinds.has(word) ? [word] : (this.#idsByName.get(word) ?? []);
  }

  /** Suggests a node in place of an unknown one. */
  suggestNode(word: string): string {
    return this.problems.suggestion(word, [...this.#kinds.keys(), ...this.#idsByName.keys()]);
  }

  /** The members of a node that templates can read; absent where its whole output is its `body`. */
  membersOf(word: string): readonly string[] | undefined {
    switch (this.#kindOf(word)) {
      case "http":
        return ["body", "status", "headers"];
      case "waitForWebhook":
        return ["body", "headers", "timed_out"];
      default:
        return undefined;
    }
  }

  /** Notes that a node sends a variable. False where it is of a kind that sends nothing. */
  sendsVariable(nodeId: string, name: string): boolean {
    if (this.#kinds.get(nodeId) !== "http") {
      return false;
    }
    this.variables.set(nodeId, (this.variables.get(nodeId) ?? new Set()).add(name));
    return true;
  }

  /** Whether a word means a node that has a URL of its own. */
  hasCallbackUrl(word: string): boolean {
    return this.#kindOf(word) === "waitForWebhook";
  }

  /** The Groups around a node, from the inside out. */
  groupsAround(nodeId: string): readonly string[] {
    const around: string[] = [];
    for (let id = this.#groups.get(nodeId); id !== undefined && !around.includes(id); id = this.#groups.get(id)) {
      around.push(id);
    }
    return around;
  }

  /** What these names read of a node beside its output, as `error.reason`. Undefined where they read none of that. */
  factOf(word: string, [fact, member, ...below]: readonly string[]): NodeFact | undefined {
    switch (fact) {
      case "state":
        return member === undefined ? fact : undefined;
      case "error": {
        const isWhole = member === undefined || member === "body";
        return isWhole || (errorMembers.includes(member) && below.length === 0) ? fact : undefined;
      }
      case "errors":
        return this.#kindOf(word) === "group" ? fact : undefined;
      default:
        return undefined;
    }
  }

  #kindOf(word: string): Node["kind"]["case"] {
    const [id = ""] = this.find(word);
    return this.#kinds.get(id);
  }
}

/** What an error has beside the body of the answer. */
const errorMembers = ["reason", "message", "status", "node_id", "node_name", "is_cut"];

/** A template and the field that it stands in. Later checks warn of templates that read nothing. */
export type Read = { readonly location: ProblemLocation; readonly reference: Reference; readonly use: Use };

/** How a field uses the value of a template: `presence` where it may well be missing, since it is only tested or left out. */
export type Use = "taken" | "compared" | "presence";
