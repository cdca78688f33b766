import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { ExecutionService } from "../../../src/gen/flowcall/v1/execution_pb.ts";
import { type ApiAnswer, protocolsOf } from "../../api/protocols.ts";
import { putWorkflow, testKey } from "../../support/flowcall.ts";
import { AppBed } from "../app-bed.ts";
import type { FaultCase } from "../fault-case.ts";
import { checkLedger } from "../ledger.ts";
import { until } from "../until.ts";

const { executeWorkflow, getExecutionResponse } = ExecutionService.method;
const account = "john@acme.io";

const payloadsOfWorkflow = 10;

export const equalAnswers: FaultCase = {
  id: "H7",
  title: "1,000 random payloads through random workflows, on every protocol, at two processes",
  run: async ({ size, random, postgres, say }) => {
    const workflows = size === "full" ? 100 : 4;
    return await AppBed.with({ database: await postgres.createExampleDatabase() }, async (bed, url) => {
      const doors = [url, (await bed.startApp()).url].map(protocolsOf);
      const ids: string[] = [];
      const kinds = new Map<string, number>();
      for (let index = 0; index < workflows; index += 1) {
        const workflow = `random-${index}`;
        const definition = randomDefinition(random);
        await putWorkflow(url, { alias: workflow, definition });
        for (let turn = 0; turn < payloadsOfWorkflow; turn += 1) {
          const payload = { x: randomJson(random, 4), s: randomText(random), list: [randomJson(random, 2)] };
          const fields = { workflow, linked_account_id: account, sync_execution: true, payload };
          // Every protocol, one after the other at one process and at the other.
          const protocols = (doors[0] ?? []).flatMap((_, place) => doors[(place + turn) % 2]?.[place] ?? []);
          const executed = await Promise.all(
            protocols.map(async ({ name, call }) => ({
              name,
              answer: await call({ method: executeWorkflow, key: testKey, fields }),
            })),
          );
          const about = JSON.stringify({ definition, payload });
          const kind = assertEqual(executed, about);
          kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
          const execution_id = executed[turn % executed.length]?.answer.headers.get("x-execution-id") ?? "";
          const asked = await Promise.all(
            protocols.map(async ({ name, call }) => ({
              name,
              answer: await call({
                method: getExecutionResponse,
                key: testKey,
                fields: { execution_id, linked_account_id: account },
              }),
            })),
          );
          assertEqual(asked, about);
          ids.push(...executed.map(({ answer }) => answer.headers.get("x-execution-id") ?? ""));
        }
        if (index % 20 === 19) {
          say(`${index + 1} workflows`);
        }
      }
      assert.ok(kinds.size > 1, "some executions fail and some do not");
      await until("the end of all", () => bed.hasDrained());
      const states = await checkLedger(bed.query, ids);
      const payloads = workflows * payloadsOfWorkflow;
      const figures = { payloads, differences: 0, ...Object.fromEntries(kinds) };
      return { executions: states.size, ...figures, lost: 0, doubleResults: 0 };
    });
  },
};

/** Throws where two answers differ in more than the order of members and the execution; answers how the execution ended. */
function assertEqual(answers: readonly { name: string; answer: ApiAnswer }[], about: string): string {
  const [first] = answers;
  assert.ok(first !== undefined);
  const expected = canonical(contentOf(first.answer));
  for (const { name, answer } of answers) {
    assert.equal(canonical(contentOf(answer)), expected, `${name} and ${first.name} differ: ${about}`);
  }
  return String(first.answer.headers.get("x-execution-status"));
}

/** What an answer says of an execution, wherever its protocol puts it. */
function contentOf({ message, headers }: ApiAnswer): JsonObject {
  const { return_value = null, response = null, error = null } = Object(message);
  return { return_value, response, error, status: headers.get("x-execution-status") };
}

/** One text for a value, whatever the order of its members. */
function canonical(value: JsonValue): string {
  return JSON.stringify(value, (_name, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** Start → a few Transforms → a Rule → two Responses, or none where the rule does not hold. */
function randomDefinition(random: () => number): JsonObject {
  const transforms = Array.from({ length: 1 + below(random, 3) }, (_, index) => ({
    id: `t${index}`,
    transform: { input: "{{event.body}}", query: pick(random, queries) },
  }));
  const last = `t${transforms.length - 1}`;
  const response = (id: string) => ({
    id,
    response: { data: pick(random, answers).replaceAll("LAST", last), status_code: pick(random, [200, 201, 404, 500]) },
  });
  const rule = { id: "rule", rule: { comparisons: [{ left: "{{event.body.s}}", operator: "contains", right: "a" }] } };
  const nodes = [{ id: "1", start: { api_call: {} } }, ...transforms, rule, response("yes"), response("no")];
  const chain = nodes.slice(0, -2).map(({ id }) => id);
  const edges: JsonObject[] = chain.slice(1).map((target, index) => ({ source: chain[index] ?? "", target }));
  edges.push({ source: "rule", target: "yes", port: "true" });
  if (random() < 0.8) {
    edges.push({ source: "rule", target: "no", port: "false" });
  }
  return { nodes, edges };
}

const queries = [
  "$",
  "x",
  "list[0]",
  '{ "text": $string(x), "keys": $keys($), "n": $count(list) }',
  "[x, s, list]",
  "$uppercase(s) & '!'",
  // Fails for most of what it gets.
  "$number(s)",
  "$sum(list)",
];

const answers = [
  "{{node.LAST.body}}",
  '{ "value": {{node.LAST.body}}, "text": "it is {{event.body.s}}.", "x": "{{event.body.x}}" }',
  "[{{event.body.list}}, {{event.body.missing}}, 1.50, 1e3]",
  '"{{event.body.x}}"',
];

function randomJson(random: () => number, depth: number): JsonValue {
  const kinds = depth > 0 ? 7 : 5;
  switch (below(random, kinds)) {
    case 0:
      return pick(random, [null, true, false]);
    case 1:
      return below(random, 2_000_000) - 1_000_000;
    case 2:
      return pick(random, [0.1, -1.5e-7, 1e21, 2 ** 53 - 1, -(2 ** 53 - 1), 5e-324, 1.7976931348623157e308]);
    case 3:
      return random() * 1e6;
    case 5:
      return Array.from({ length: below(random, 4) }, () => randomJson(random, depth - 1));
    case 6:
      return Object.fromEntries(
        Array.from({ length: below(random, 4) }, () => [randomText(random), randomJson(random, depth - 1)]),
      );
    default:
      return randomText(random);
  }
}

/** Texts of what formats and templates give a meaning to. */
function randomText(random: () => number): string {
  return Array.from({ length: below(random, 5) }, () => pick(random, pieces)).join("");
}

const pieces = [
  "a",
  "Z",
  "7",
  "é",
  "語",
  "😀",
  '"',
  "\\",
  "/",
  "\n",
  "\u0001",
  "\u2028",
  "{{event.body.s}}",
  "}}",
  "$",
  "__proto__",
  " ",
  "<",
  "%",
  "+",
];

function pick<T>(random: () => number, all: readonly T[]): T {
  // The index is below the length.
  return all[below(random, all.length)] as T;
}

function below(random: () => number, bound: number): number {
  return Math.floor(random() * bound);
}
