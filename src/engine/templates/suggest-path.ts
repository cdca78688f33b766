import { nearest } from "../../domain/nearest.ts";

/** The names of the nodes of a definition. */
type NodeNames = { find(word: string): readonly string[]; membersOf(word: string): readonly string[] | undefined };

const roots = ["event", "node", "workflow", "application", "linked_account", "execution", "env"];

/** Names that other products have for the payload, and for a node's output. */
const payloads = ["payload", "body", "input", "trigger", "request", "data"];
const outputs = ["output", "result", "value", "data", "response"];

/** What templates read of a node beside its output. */
const facts = ["error", "state"];

/** Facts about a node that are not suggested as names inside of its output. */
const notInOutput = ["status", "headers", "errors"];

/** Suggests a path in place of one that does not begin with a known source. Undefined where none is similar. */
export function suggestPath(parts: readonly string[], nodes: NodeNames): string | undefined {
  const path = correct(parts, nodes);
  const isPlain = path?.every((part) => part !== "" && !/[.[\]{}']/.test(part)) === true;
  return isPlain && path.join(".") !== parts.join(".") ? path.join(".") : undefined;
}

function correct([root = "", ...rest]: readonly string[], nodes: NodeNames): readonly string[] | undefined {
  if (roots.includes(root)) {
    return correctBelow(root, rest, nodes);
  }
  if (payloads.includes(root)) {
    return ["event", "body", ...rest];
  }
  if (nodes.find(root).length > 0) {
    return correctBelow("node", [root, ...rest], nodes);
  }
  const [similar] = nearest(root, roots);
  return similar === undefined ? undefined : correctBelow(similar, rest, nodes);
}

function correctBelow(root: string, rest: readonly string[], nodes: NodeNames): readonly string[] | undefined {
  switch (root) {
    case "event":
      return [root, ...below(rest, ["body", "headers"], payloads)];
    case "workflow":
    case "application":
      return [root, ...below(rest, ["fields"], [])];
    case "execution":
      return [root, "id"];
    case "linked_account":
    case "env":
      return [root, ...rest];
    default: {
      const [word, ...members] = rest;
      if (word === undefined || nodes.find(word.trim()).length === 0) {
        return undefined;
      }
      const known = nodes.membersOf(word.trim()) ?? ["body"];
      const [first = ""] = members;
      if (facts.includes(first)) {
        return [root, word, first];
      }
      if (first === "message" || first === "reason") {
        return [root, word, "error", first];
      }
      if (notInOutput.includes(first) && !known.includes(first)) {
        return undefined;
      }
      return [root, word, ...below(members, known, outputs)];
    }
  }
}

/** Corrects the first name to the most similar member, or puts the usual member before it. */
function below(
  [first, ...rest]: readonly string[],
  members: readonly string[],
  synonyms: readonly string[],
): readonly string[] {
  const [usual = ""] = members;
  if (first === undefined) {
    return [usual];
  }
  if (members.includes(first)) {
    return [first, ...rest];
  }
  const [similar] = synonyms.includes(first) ? [usual] : nearest(first, members);
  return similar === undefined ? [usual, first, ...rest] : [similar, ...rest];
}
