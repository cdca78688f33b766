// Finding 6: definitions that are checked, drafts too, and what a published schema costs at each call.

import type { JsonObject } from "@bufbuild/protobuf";
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker.ts";
import { lineOf, publish, saveWorkflow } from "../tenants.ts";

const names = (count: number, name = (index: number) => `name${index}`) =>
  Array.from({ length: count }, (_, index) => name(index));
const empties = (count: number) => Array.from({ length: count }, () => ({}));

const start = (schema: JsonObject, payload: JsonObject): JsonObject => lineOf([], { schema, payload });
const query = (text: string): JsonObject => lineOf([{ transform: { query: text } }]);

/** By what they are made of; each is one request of at most 1.2 MB. */
const definitions: Readonly<Record<string, () => JsonObject>> = {
  required: () => start({ properties: { a: { items: { required: names(40_000) } } } }, { a: empties(1_000) }),
  minLength: () =>
    start(
      { properties: { a: { allOf: names(4_990).map((_, index) => ({ minLength: index % 7 })) } } },
      { a: "é".repeat(500_000) },
    ),
  not: () =>
    start({ properties: { a: { items: { not: { required: names(40_000, () => "m0") } } } } }, { a: empties(12_000) }),
  prefix: () => query(`template${"_".repeat(200_000)}`),
  slashes: () => query(`${"1/".repeat(100_000)}1`),
  templates: () => query(names(50_000, (index) => `{{node.1.body.a${index}}}`).join("+")),
  expressions: () => query(names(3_000, (index) => `$contains("a", /[a-h]{1,30}${index}/)`).join(" and ")),
  strings: () => lineOf([{ response: { data: "{{x}}".repeat(60_000) } }]),
  dependentRequired: () =>
    start(
      { properties: { a: { items: { dependentRequired: { b: names(40_000) } } } } },
      { a: empties(1_000).map(() => ({ b: 1 })) },
    ),
  properties: () =>
    start(
      {
        properties: {
          a: { items: { properties: Object.fromEntries(names(9_000).map((name) => [name, { maxLength: 1 }])) } },
        },
      },
      { a: names(9_000).map((name) => ({ [name]: "a" })) },
    ),
  enum: () => start({ properties: { a: { items: { enum: names(20_000) } } } }, { a: names(20_000, () => "none") }),
  uniqueItems: () =>
    start({ properties: { a: { uniqueItems: true } } }, { a: names(40_000).map((name) => ({ name })) }),
  anyOf: () =>
    start(
      { properties: { a: { items: { anyOf: names(2_000).map((name) => ({ const: name })) } } } },
      { a: names(20_000, () => "none") },
    ),
  pattern: () =>
    start(
      { properties: { a: { items: { pattern: "^([a-h]{1,400}){1,400}z$" } } } },
      { a: names(2_000, () => "a".repeat(400)) },
    ),
  refs: () =>
    start(
      {
        $defs: Object.fromEntries(
          names(4_990).map((_, index) => [`d${index}`, index < 4_989 ? { $ref: `#/$defs/d${index + 1}` } : {}]),
        ),
        $ref: "#/$defs/d0",
      },
      {},
    ),
};

const derived = (): JsonObject => ({
  definition: lineOf([], { payload: { a: names(8_000).map((name) => ({ [name]: 1 })) } }),
  derive_schema: true,
});

/** Schemas whose work comes with the payload of each call. */
const schemas: Readonly<Record<string, () => readonly [JsonObject, JsonObject]>> = {
  "schema-required": () => [{ properties: { a: { items: { required: names(40_000) } } } }, { a: empties(45_000) }],
  "schema-length": () => [
    { properties: { a: { allOf: names(4_000).map((_, index) => ({ minLength: index % 7 })) } } },
    { a: "é".repeat(500_000) },
  ],
  "schema-unique": () => [{ properties: { a: { uniqueItems: true } } }, { a: names(24_000).map((name) => ({ name })) }],
};

export const definitionAttacks: readonly Attack[] = [
  {
    id: "6",
    title:
      "ValidateDefinition with a restricted read key, and with an author's where that is refused, all kinds in turn",
    run: (attacker) => attacker.repeat(1, (_, turn) => validate(attacker, turn)),
  },
  {
    id: "6b",
    title: "the same definitions saved as drafts, and the drafts checked, tested and published, all at a time",
    prepare: async ({ tenant }) => {
      for (const name of Object.keys(definitions)) {
        await saveWorkflow(tenant, `draft-${name}`, lineOf([]));
      }
      return {};
    },
    run: async (attacker) => {
      const all = Object.entries(definitions);
      await attacker.repeat(all.length, async (lane, turn) => {
        const [name, definition] = all[lane] ?? [];
        const path = `/api/v1/workflow/draft-${name}/draft`;
        if (turn === 0) {
          await attacker.send({ method: "PUT", path, body: JSON.stringify(definition?.()) });
        }
        await attacker.send({ path: `${path}/validate`, body: "{}" });
        await attacker.send({ path: `${path}/execute`, body: "{}" });
        await attacker.send({ path: `/api/v1/workflow/draft-${name}/publish`, body: "{}" });
      });
    },
  },
  {
    id: "6c",
    title: "calls whose payload meets a published schema that is much work",
    prepare: async ({ tenant }) => {
      for (const [alias, make] of Object.entries(schemas)) {
        await publish(tenant, alias, lineOf([], { schema: make()[0] }));
      }
      return {};
    },
    run: async (attacker) => {
      const all = Object.entries(schemas).map(([alias, make]) => [alias, JSON.stringify(make()[1])] as const);
      await attacker.repeat(all.length, async (lane) => {
        const [alias = "", body = ""] = all[lane] ?? [];
        await attacker.callText(alias, body, { sync_execution: "true" });
      });
    },
  },
];

async function validate(attacker: Attacker, turn: number): Promise<void> {
  const all = Object.entries(definitions);
  const [name = "derived", make] = all[turn % (all.length + 1)] ?? [];
  const body = JSON.stringify(make === undefined ? derived() : { definition: make() });
  const request = { path: "/api/v1/definition/validate", body };
  const { readKey } = attacker.options;
  let reply = await attacker.send({ ...request, key: readKey });
  if (reply.status === 403) {
    reply = await attacker.send(request);
  }
  attacker.most(`${name} ms`, reply.ms);
  attacker.most("reply bytes", reply.text.length);
}
