import type { TransformNode } from "../../gen/flowcall/v1/definition_pb.ts";
import { compileInput } from "../templates/text-template.ts";
import type { Leaf, LeafTools } from "./leaf.ts";

/**
 * Computes a value with a JSONata query. It reads the payload unless the node names another input. A lone template as the
 * input keeps the type of its value, and a skipped node's output is then "nothing" to the query, not null.
 */
export function compileTransform(message: TransformNode, { field, queries }: LeafTools): Leaf {
  const { template, reference } = compileInput(message.input ?? "{{event.body}}", field.member("input"));
  const query = queries.compile(message.query, field.member("query"));
  return {
    run: (attempt) => {
      const value = reference === undefined ? template.render(attempt.scope) : attempt.scope.readForQuery(reference);
      return query.run({ value, reference }, attempt);
    },
    isComputation: true,
    ...(query.result !== undefined && { output: query.result }),
  };
}
