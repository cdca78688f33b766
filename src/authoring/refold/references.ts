import { readPath } from "../../domain/json/value-path.ts";
import type { IssueList, IssuePlace } from "./import-issue.ts";
import type { NodeIndex } from "./node-index.ts";
import { type SourceField, UnusableSource } from "./source-workflow.ts";

/** The place of a template. */
export type TemplatePlace = IssuePlace & { readonly nodeId: string };

/** Each template is read twice: once for what is read, and once to be written. */
const passes = 2;
const templatesMax = passes * 10_000;

/** What the templates of a workflow read, found while they are rewritten. */
export class References {
  /** By node, the paths that are read in its output; an empty one is all of it. */
  readonly nodeReads = new Map<string, Set<string>>();
  /** The paths that are read in the event's body. */
  readonly eventPaths = new Set<string>();
  /** The names of fields that a configuration of the workflow has. */
  readonly fields = new Set<string>();
  /** Those of them that the import adds, which hold texts. */
  readonly addedFields = new Set<string>();
  /** The names of fields that the integration has. */
  readonly applicationFields = new Set<string>();
  /** Nodes that are read and never run. */
  readonly parked = new Set<string>();
  #count = 0;
  readonly #nodes: NodeIndex;
  readonly #issues: IssueList;
  readonly #fieldsById: ReadonlyMap<string, SourceField>;

  constructor(nodes: NodeIndex, configFields: readonly SourceField[], issues: IssueList) {
    this.#nodes = nodes;
    this.#issues = issues;
    this.#fieldsById = new Map(configFields.map((field) => [field.id, field]));
  }

  /** The inside of a template in our words. What is not known becomes a field that can be set. */
  rewrite(text: string, place: TemplatePlace): string {
    this.#count += 1;
    if (this.#count > templatesMax) {
      const description = `have more than ${templatesMax / passes} templates, and a workflow has fewer`;
      throw new UnusableSource([{ field: "nodes", description }]);
    }
    const spot = { original: text, ...place };
    const known = this.#known(text, spot);
    return known !== undefined && readPath(known) !== undefined ? known : this.#unknown(text, spot);
  }

  /** Names a field of the workflow, as a template writes it. */
  field(name: string, place: IssuePlace = {}): string {
    const kept = fieldName(name);
    if (kept !== name) {
      const message = `The field ${JSON.stringify(name)} is called ${JSON.stringify(kept)} here: a name has no dots and braces.`;
      this.#issues.warn("FIELD_RENAMED", message, place);
    }
    this.fields.add(kept);
    return `workflow.fields${member(kept)}`;
  }

  /** Adds a field for what the export does not have, as a template writes it. */
  addField(name: string): string {
    this.addedFields.add(fieldName(name));
    return this.field(fieldName(name));
  }

  #known(text: string, place: TemplatePlace): string | undefined {
    if (/^[0-9a-f]{24}$/i.test(text)) {
      const field = this.#fieldsById.get(text);
      return field === undefined
        ? undefined
        : field.isOfEvent
          ? this.#event(field.name)
          : this.field(field.name, place);
    }
    const [, root = "", rest = ""] = /^([^.:[]+)[.:]?(.*)$/s.exec(text) ?? [];
    switch (root.trim()) {
      case "event":
      case "start":
        return this.#ofEvent(root, rest, place);
      case "node":
        return this.#ofNode(rest, place);
      case "workflow":
      case "application":
        return this.#ofFields(root.trim(), rest, place);
      case "dataslot":
        return rest === "" ? undefined : this.field(rest.trim(), place);
      case "group":
      case "loop":
      case "array_item":
        return this.#ofGroup(text, place);
      case "linked_account":
        return this.#ofAccount(text, rest, place);
      case "instance_meta_data":
        return rest === "instance_id" ? "execution.id" : undefined;
      case "env":
        this.#issues.warn(
          "VARIABLE_NEEDED",
          `The variable ${text} is not in the export; it is a field that can be set.`,
          place,
        );
        return this.addField(text);
      default:
        return this.#ofNamedNode(text, place);
    }
  }

  #ofEvent(root: string, rest: string, place: TemplatePlace): string | undefined {
    if (rest === "headers" || rest.startsWith("headers.")) {
      return `event.${rest}`;
    }
    if (rest === "body" || rest === "") {
      this.eventPaths.add("");
      return "event.body";
    }
    const isBody = rest.startsWith("body.") || rest.startsWith("body[");
    if (!isBody) {
      this.#issues.warn("REFERENCE_UNKNOWN", `${root}.${rest} is read as ${root}.body.${rest}.`, place);
    }
    return this.#event(isBody ? rest.slice("body".length).replace(/^\./, "") : rest);
  }

  #event(path: string): string {
    this.eventPaths.add(path);
    return path.startsWith("[") ? `event.body${path}` : `event.body.${path}`;
  }

  #ofFields(root: string, rest: string, place: TemplatePlace): string | undefined {
    const name = /^fields\.(.+)$/s.exec(rest)?.[1]?.trim();
    if (name === undefined || name === "") {
      return undefined;
    }
    if (root === "workflow") {
      return this.field(name, place);
    }
    const kept = fieldName(name);
    this.applicationFields.add(kept);
    return `application.fields${member(kept)}`;
  }

  #ofNode(rest: string, place: TemplatePlace): string | undefined {
    const found = this.#nodes.find(rest);
    if (found === undefined) {
      // A node that was deleted. Its output is null, as the original read it.
      const [, id, below] = /^([A-Za-z0-9_-]{1,64})(?:[.:](.*))?$/s.exec(rest) ?? [];
      return id === undefined || this.#nodes.isTaken(id) ? undefined : this.#parked(id, below ?? "", place);
    }
    if (found.isAmbiguous) {
      const message = `Several nodes are called ${JSON.stringify(found.name)}; the first of them is read.`;
      this.#issues.warn("NAME_AMBIGUOUS", message, place);
    }
    return found.isReachable ? this.#read(found.id, found.below) : this.#parked(found.id, found.below, place);
  }

  #ofNamedNode(text: string, place: TemplatePlace): string | undefined {
    const found = this.#nodes.find(text);
    return found !== undefined && /^(?:body|response)\b/.test(found.below) ? this.#ofNode(text, place) : undefined;
  }

  #parked(id: string, below: string, place: TemplatePlace): string {
    this.parked.add(id);
    this.#issues.warn(
      "REFERENCE_NEVER_SET",
      `Nothing leads to node ${id}, which this reads: it is always null.`,
      place,
    );
    return this.#read(id, below);
  }

  #read(id: string, below: string): string {
    const kind = this.#nodes.kindOf(id);
    const [, head = "", path = ""] = /^([^.:[]*)[.:]?(.*)$/s.exec(below) ?? [];
    if (kind === "http" && (head === "status" || head === "headers")) {
      return `node.${id}.${below}`;
    }
    const inBody = head === "body" || head === "response" || head === "" ? path : below.replaceAll(":", ".");
    const reads = this.nodeReads.get(id) ?? new Set();
    this.nodeReads.set(id, reads.add(inBody));
    return inBody === "" ? `node.${id}.body` : `node.${id}.body${inBody.startsWith("[") ? "" : "."}${inBody}`;
  }

  #ofGroup(text: string, place: TemplatePlace): string | undefined {
    const group = this.#nodes.groupAround(place.nodeId);
    const path = text.replace(/^(?:group|loop)[.:]/, "");
    if (group === undefined || path === text) {
      return group === undefined || !text.startsWith("array_item") ? undefined : `node.${group}.body.${text}`;
    }
    return `node.${group}.body.${path.replace(/^iteration_number\b/, "iteration_count")}`;
  }

  #ofAccount(text: string, rest: string, place: TemplatePlace): string | undefined {
    if (!rest.startsWith("auth_credentials")) {
      return rest === "" ? undefined : text;
    }
    const message = "Templates cannot read credentials. Let a request use the account's connection, or set this field.";
    this.#issues.warn("CREDENTIAL_IN_TEMPLATE", message, place);
    return this.addField(text);
  }

  #unknown(text: string, place: TemplatePlace): string {
    const name = fieldName(text);
    this.#issues.warn(
      "REFERENCE_UNKNOWN",
      `Nothing is known by this name; it is the field ${JSON.stringify(name)} now.`,
      place,
    );
    this.fields.add(name);
    return `workflow.fields${member(name)}`;
  }
}

/** A name that a field can have: without dots and braces, and not too long. */
export function fieldName(name: string): string {
  const plain = name
    .replaceAll(/[.{}\p{Cc}]/gu, "_")
    .slice(0, 128)
    .toWellFormed()
    .trim();
  return plain === "" ? "unnamed" : plain;
}

function member(name: string): string {
  return /[[\]']/.test(name) ? `['${name.replaceAll("'", "''")}']` : `.${name}`;
}
