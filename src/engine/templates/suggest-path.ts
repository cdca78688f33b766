import { nearest } from "../../domain/nearest.ts";

/** What the nodes of a definition are called. */
type NodeNames = { find(word: string): readonly string[]; isHttp(word: string): boolean };

const roots = ["event", "node", "workflow", "application", "linked_account", "execution"];

/** What others call the payload, and a node's output. */
const payloads = ["payload", "body", "input", "trigger", "request", "data"];
const outputs = ["output", "result", "value", "data", "response"];

/** What a node has elsewhere and not here, so that no name inside of its output is meant. */
const notInOutput = ["error", "state", "status", "headers", "message", "reason"];

/** The path that was likely meant by one that begins with nothing that can be read; undefined where none is like it. */
export function meantPath(parts: readonly string[], nodes: NodeNames): string | undefined {
  const path = mend(parts, nodes);
  const isPlain = path?.every((part) => part !== "" && !/[.[\]{}']/.test(part)) === true;
  return isPlain && path.join(".") !== parts.join(".") ? path.join(".") : undefined;
}

function mend([root = "", ...rest]: readonly string[], nodes: NodeNames): readonly string[] | undefined {
  if (roots.includes(root)) return mendBelow(root, rest, nodes);
  if (payloads.includes(root)) return ["event", "body", ...rest];
  if (nodes.find(root).length > 0) return mendBelow("node", [root, ...rest], nodes);
  const [like] = nearest(root, roots);
  return like === undefined ? undefined : mendBelow(like, rest, nodes);
}

function mendBelow(root: string, rest: readonly string[], nodes: NodeNames): readonly string[] | undefined {
  switch (root) {
    case "event":
      return [root, ...below(rest, ["body", "headers"], payloads)];
    case "workflow":
    case "application":
      return [root, ...below(rest, ["fields"], [])];
    case "execution":
      return [root, "id"];
    case "linked_account":
      return [root, ...rest];
    default: {
      const [word, ...members] = rest;
      if (word === undefined || nodes.find(word.trim()).length === 0) return undefined;
      const known = nodes.isHttp(word.trim()) ? ["body", "status", "headers"] : ["body"];
      const [first = ""] = members;
      if (notInOutput.includes(first) && !known.includes(first)) return undefined;
      return [root, word, ...below(members, known, outputs)];
    }
  }
}

/** With one of the members that there are: the one that is like the first name, or else the usual one before it. */
function below(
  [first, ...rest]: readonly string[],
  members: readonly string[],
  synonyms: readonly string[],
): readonly string[] {
  const [usual = ""] = members;
  if (first === undefined) return [usual];
  if (members.includes(first)) return [first, ...rest];
  const [like] = synonyms.includes(first) ? [usual] : nearest(first, members);
  return like === undefined ? [usual, first, ...rest] : [like, ...rest];
}
