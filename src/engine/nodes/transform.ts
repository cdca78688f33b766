import type { TransformNode } from "../../gen/flowcall/v1/definition_pb.ts";
import { compileValue } from "../templates/text.ts";
import type { Leaf, LeafTools } from "./leaf.ts";

/** Computes a value with JSONata. */
export function compileTransform(message: TransformNode, { field, queries }: LeafTools): Leaf {
  const input = compileValue(message.input ?? "{{event.body}}", field.member("input"));
  const query = queries.compile(message.query, field.member("query"));
  return {
    hasTimeout: true,
    run: (attempt) => query.run(input.render(attempt.scope), attempt.scope, attempt, attempt.signal),
  };
}
