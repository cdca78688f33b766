import { expect } from "vitest";
import { type CompileOptions, compile, type NodeJson, start } from "./workflow.ts";

export type Definition = CompileOptions & {
  readonly nodes: readonly NodeJson[];
  readonly edges?: readonly string[];
};

/** Expects exactly these problems, each as `REASON node field`. */
export function checkProblems(
  { nodes, edges = [], ...options }: Definition,
  expected: { errors?: string[]; warnings?: string[] },
) {
  const { graph, errors, warnings } = compile(nodes, edges, options);
  const words = (list: typeof errors) => list.map(({ reason, nodeId, field }) => `${reason} ${nodeId ?? "-"} ${field}`);
  expect(words(errors)).toEqual(expected.errors ?? []);
  expect(words(warnings)).toEqual(expected.warnings ?? []);
  expect(graph === undefined).toBe(errors.length > 0);
  for (const { message } of [...errors, ...warnings]) {
    expect(message).toMatch(/[.?]$/);
  }
}

/** A name, a definition, and the problems that are expected of it. */
export type Case = readonly [string, Definition, ...string[]];

export const response = (id: string, data = "null", more = {}): NodeJson => ({ id, response: { data, ...more } });
export const transform = (id: string, query = "1", more = {}): NodeJson => ({ id, transform: { query }, ...more });
export const rule = (id: string, left = "{{event.body.a}}"): NodeJson => ({
  id,
  rule: { comparisons: [{ left, operator: "exist" }] },
});
export const group = (id: string, more = {}): NodeJson => ({ id, group: { array: "{{event.body.items}}" }, ...more });
export const only = (node: NodeJson): Definition => ({ nodes: [start, node], edges: [`start > ${node.id}`] });
export const comparing = (comparison: object): NodeJson => ({ id: "n", rule: { comparisons: [comparison] } as never });
