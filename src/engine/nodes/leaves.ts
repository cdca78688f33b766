import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import { compileCode } from "./code-node.ts";
import { compileDataMapper } from "./data-mapper-node.ts";
import { compileDelay } from "./delay-node.ts";
import { compileHttp } from "./http-node.ts";
import type { Leaf, LeafTools } from "./leaf.ts";
import { compileSubFlow } from "./sub-flow-node.ts";
import { compileTransform } from "./transform-node.ts";
import { compileWaitForWebhook } from "./wait-for-webhook-node.ts";

/** The kinds of node that are leaves. The interpreter runs the other kinds. */
type LeafKind = "transform" | "delay" | "http" | "waitForWebhook" | "code" | "dataMapper" | "subFlow";

/** The protobuf message of each kind. */
type LeafMessages = {
  [Kind in LeafKind]: Extract<Node["kind"], { case: Kind }>["value"];
};

/** The compiler of each kind. A new kind of leaf does not compile until it has a row here. */
export const leaves: { readonly [Kind in LeafKind]: (message: LeafMessages[Kind], tools: LeafTools) => Leaf } = {
  code: compileCode,
  dataMapper: compileDataMapper,
  transform: compileTransform,
  delay: compileDelay,
  http: compileHttp,
  waitForWebhook: compileWaitForWebhook,
  subFlow: compileSubFlow,
};
