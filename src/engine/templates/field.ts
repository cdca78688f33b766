import { type PathPart, readOldPath, readPath } from "../../domain/json/value-path.ts";
import { scheduledTimeHeader } from "../../domain/schedules/schedule.ts";
import type { ProblemLocation, ProblemReason } from "../errors/problems.ts";
import type { Names, Use } from "./names.ts";
import type { NodeFact, Reference, Source } from "./reference.ts";
import { suggestPath } from "./suggest-path.ts";
import { TextBudget, type TextFailure } from "./text-budget.ts";

/** Stands for a reference that cannot be compiled. The definition has an error then, so it never runs. */
const placeholder: Omit<Reference, "text"> = { source: { kind: "event_body" }, path: [] };

/** One field of one node while it is compiled: compiles its templates, and reports its problems. */
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

  /** Whether the definition is new. A published one keeps to the rules that it was published under. */
  get isNew(): boolean {
    return this.#names.isNew;
  }

  /** Makes the budget of characters for one rendering of the field. */
  texts(fail?: TextFailure): TextBudget {
    return new TextBudget(this.#names.limits.output.bytesMax, fail);
  }

  /** Whether a text is short enough to be compiled. Reports one that is not. */
  isWithin(text: string, limit: "queryMax" | "textMax"): boolean {
    const max = this.#names.limits.definition[limit];
    if (text.length <= max) {
      return true;
    }
    const message = `The text has ${text.length} characters of at most ${max} (limit definition.${limit}). Make it shorter.`;
    this.error("DEFINITION_TOO_LARGE", message);
    return false;
  }

  /** Whether one more regular expression may be compiled. Reports the first one beyond the limit. */
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

  /** The same field, whose templates may read nothing without a warning. */
  forPresence(): Field {
    return new Field(this.#names, this.#nodeId, this.#path, "presence");
  }

  error(reason: ProblemReason, message: string): void {
    this.#names.problems.error(this.#location, reason, message);
  }

  warn(reason: ProblemReason, message: string): void {
    this.#names.problems.warn(this.#location, reason, message);
  }

  /** The variables that the templates of this node, as far as they are compiled, send. */
  get variables(): readonly string[] {
    return [...(this.#names.variables.get(this.#nodeId) ?? [])];
  }

  /** Compiles the text between the braces. Where that has a problem, it gives a placeholder. */
  reference(between: string): Reference {
    const text = between.trim();
    // Beyond the limit templates are not compiled, which saves time: the definition has an error already.
    if (!this.#takesTemplate()) {
      return { text, ...placeholder };
    }
    const path = readPath(text) ?? (this.isNew ? undefined : readOldPath(text));
    if (path === undefined || path.some(({ name, isQuoted }) => !isQuoted && name.includes("{{"))) {
      this.error(
        "TEMPLATE_MALFORMED",
        `"{{${text}}}" is not a path. Write names with single dots between them, as {{event.body.a}}, an index as [0], and ` +
          "a name with dots or braces as ['a.b'].",
      );
      return { text, ...placeholder };
    }
    const computes = this.#reportComputation(text, path);
    const parts = path.map(({ name }) => name);
    const found = this.#resolve(text, parts);
    if (found === undefined) {
      return { text, ...placeholder };
    }
    const reference = { text, ...found };
    if (!computes) {
      this.#names.reads.push({ location: this.#location, reference, use: this.#use });
    }
    return reference;
  }

  /** Reports a path that looks like a computation. Fields of the integration are exempt, since their names may be anything. */
  #reportComputation(text: string, path: readonly PathPart[]): boolean {
    const [root, second] = path;
    if (root?.name === "application" && second?.name === "fields") {
      return false;
    }
    const isNode = root?.name === "node" && second !== undefined && this.#names.find(second.name.trim()).length > 0;
    const part = path.find(
      (one, index) => !one.isQuoted && !(isNode && index === 1) && this.#names.isComputation(one.name),
    );
    if (part === undefined) {
      return false;
    }
    this.error(
      "TEMPLATE_COMPUTES",
      `"{{${text}}}" computes, and a template only reads. Compute it in the query of a Transform, as {{event.body.n}} * 2, and ` +
        `read that node. If "${part.name}" is a name, write ['${part.name.replaceAll("'", "''")}'].`,
    );
    return true;
  }

  /** Resolves a path to its source. Reports a path that does not begin with a known source, and gives undefined. */
  #resolve(text: string, parts: readonly string[]): Omit<Reference, "text"> | undefined {
    const [root, second, ...rest] = parts;
    switch (root) {
      case "event":
        if (second === "body") {
          return { source: { kind: "event_body" }, path: rest };
        }
        if (second === "headers") {
          // Header names are stored in lower case. Templates may write them in any case.
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
      case "connection":
        this.error(
          "TEMPLATE_SECRET",
          `"{{${text}}}" is a credential, and a secret can be sent, not computed with. The integration's auth says where its ` +
            "credentials are sent; set connection on an HTTP node to send them.",
        );
        return undefined;
      case "env":
        if (second === "workspace" && rest.length === 1 && rest[0] !== undefined) {
          return this.#variable(text, rest[0]);
        }
        break;
      case "linked_account":
        return { source: { kind: "linked_account" }, path: parts.slice(1) };
      case "execution":
        if (second === "id" && rest.length === 0) {
          return { source: { kind: "execution_id" }, path: [] };
        }
        if (second === "scheduled_time" && rest.length === 0) {
          return { source: { kind: "event_headers" }, path: [scheduledTimeHeader] };
        }
        break;
      case "node":
        if (second !== undefined && rest.length === 1 && rest[0] === "callback_url") {
          if (this.#names.hasCallbackUrl(second.trim())) {
            return this.#callbackUrl(text, second.trim());
          }
        }
        if (second !== undefined) {
          const word = second.trim();
          const fact = this.#names.factOf(word, rest);
          const path = fact === undefined ? this.#outputPath(word, rest) : rest.slice(1);
          if (path !== undefined) {
            const nodeId = this.#node(text, word);
            return nodeId === undefined ? undefined : { source: sourceOf(nodeId, fact), path };
          }
        }
        break;
    }
    const suggestion = suggestPath(parts, this.#names);
    this.error(
      "TEMPLATE_UNKNOWN",
      `"{{${text}}}" names nothing that can be read.${suggestion === undefined ? "" : ` Did you mean {{${suggestion}}}?`} Begin with event.body, event.headers, node.<id or name>.body (of an ` +
        "HTTP node also .status and .headers; of each node .state and .error.reason), workflow.fields, application.fields or linked_account, or env.workspace in an HTTP node, or write execution.id or execution.scheduled_time. " +
        "Two literal braces are written as {{{{.",
    );
    return undefined;
  }

  #variable(text: string, name: string): Omit<Reference, "text"> | undefined {
    if (!this.#path.startsWith("settings") && this.#names.sendsVariable(this.#nodeId, name)) {
      return { source: { kind: "variable", name }, path: [] };
    }
    const advice = "a secret can be sent, not computed with. Read it in the request of an HTTP node.";
    this.error("TEMPLATE_SECRET", `"{{${text}}}" is a variable, and may be a secret: ${advice}`);
    return undefined;
  }

  /** The path inside of a node's output. Undefined where no output of this kind of node has the member. */
  #outputPath(word: string, [member, ...below]: readonly string[]): readonly string[] | undefined {
    const members = this.#names.membersOf(word);
    if (members === undefined) {
      return member === "body" ? below : undefined;
    }
    if (member === undefined || !members.includes(member)) {
      return undefined;
    }
    const [name, ...deeper] = below;
    // Header names of answers are in lower case. Templates may write them in any case.
    return member === "headers" && name !== undefined ? [member, name.toLowerCase(), ...deeper] : [member, ...below];
  }

  /** A node inside of a Group has a URL in each iteration, so that only nodes of that iteration know which one is meant. */
  #callbackUrl(text: string, word: string): Omit<Reference, "text"> | undefined {
    const nodeId = this.#node(text, word);
    if (nodeId === undefined) {
      return undefined;
    }
    const [group, ...outer] = this.#names.groupsAround(nodeId);
    const isInside =
      group === undefined || group === this.#nodeId || this.#names.groupsAround(this.#nodeId).includes(group);
    if (!isInside) {
      this.error(
        "CALLBACK_URL_ELSEWHERE",
        `"{{${text}}}" is a URL of each iteration of the Group "${group}". Read it in a node inside of that Group.`,
      );
      return undefined;
    }
    return { source: { kind: "callback_url", nodeId, depth: group === undefined ? 0 : 1 + outer.length }, path: [] };
  }

  #node(text: string, word: string): string | undefined {
    const [nodeId, another] = this.#names.find(word);
    if (nodeId === undefined) {
      this.error(
        "TEMPLATE_NODE_UNKNOWN",
        `"{{${text}}}" reads the node "${word}", which does not exist.${this.#names.suggestNode(word)}`,
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
    return nodeId;
  }

  get #location(): ProblemLocation {
    return { nodeId: this.#nodeId, field: this.#path };
  }
}

function sourceOf(nodeId: string, fact: NodeFact | undefined): Source {
  return fact === undefined ? { kind: "node", nodeId } : { kind: "node_fact", nodeId, fact };
}
