import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import { compileDelay } from "./delay-node.ts";
import { compileHttp } from "./http-node.ts";
import type { Leaf, LeafTools } from "./leaf.ts";
import { compileTransform } from "./transform-node.ts";

/** The kinds of node that do one thing and know nothing of the graph around them. */
type LeafKind = "transform" | "delay" | "http";

/** The message of each leaf's kind. */
type LeafMessages = {
  [Kind in LeafKind]: Extract<Node["kind"], { case: Kind }>["value"];
};

/** How each leaf is compiled. */
export const leaves: { readonly [Kind in LeafKind]: (message: LeafMessages[Kind], tools: LeafTools) => Leaf } = {
  transform: compileTransform,
  delay: compileDelay,
  http: compileHttp,
};
