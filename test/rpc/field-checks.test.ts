import { create, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ExecuteWorkflowRequestSchema } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { compileChecks } from "../../src/rpc/chain/field-checks.ts";
import { protoMethods } from "../support/protos.ts";

const validator = createValidator();
const inputs = [...new Set((await protoMethods()).map(({ input }) => input))];

const units = ["a", "Z", "0", ".", "-", " ", "\t", "\v", "\u00a0", "é", "😀", "{", "\x7f"];
const lengths = [1, 64, 127, 128, 129, 200, 201, 256, 257, 500, 501, 1_000, 1_001];
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom(...units), maxLength: 4 }),
  fc.constantFrom(...lengths).map((length) => "a".repeat(length)),
  fc.constantFrom(...lengths).map((length) => "😀".repeat(length)),
);
const whole = fc.constantFrom(-1, 0, 1, 2, 60, 61, 200, 201, 3_600, 1_000_000);

/** What a message is made of: some of its fields, with values around the bounds of the rules. */
function fieldsOf(schema: DescMessage, depth = 0): fc.Arbitrary<Record<string, unknown>> {
  const fields = schema.fields.map((field) => {
    const { localName, oneof } = field;
    const value = fc.option(drawnFor(field, depth), { nil: undefined });
    return value.map((drawn) => {
      if (drawn === undefined) {
        return {};
      }
      return oneof === undefined ? { [localName]: drawn } : { [oneof.localName]: { case: localName, value: drawn } };
    });
  });
  return fc.tuple(...fields).map((drawn) => Object.assign({}, ...drawn));
}

function drawnFor(field: DescField, depth: number): fc.Arbitrary<unknown> {
  const one = singularOf(field, depth);
  switch (field.fieldKind) {
    case "list":
      return fc.oneof(fc.array(one, { maxLength: 3 }), fc.array(one, { minLength: 21, maxLength: 21 }));
    case "map":
      return fc.dictionary(text, one, { maxKeys: 3 });
    default:
      return one;
  }
}

function singularOf({ message, enum: choices, scalar }: DescField, depth: number): fc.Arbitrary<unknown> {
  if (choices !== undefined) {
    return fc.constantFrom(99, ...choices.values.map((choice) => choice.number));
  }
  if (message?.typeName === "google.protobuf.Timestamp") {
    return fc.record({ seconds: fc.constantFrom(-1n, 0n, 1n, 253402300800n) });
  }
  if (message !== undefined) {
    const isLeaf = message.typeName.startsWith("google.protobuf.") || depth > 2;
    return isLeaf ? fc.constant({}) : fieldsOf(message, depth + 1);
  }
  switch (scalar) {
    case ScalarType.STRING:
      return text;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return whole.map(BigInt);
    default:
      return whole;
  }
}

test.each(inputs)("what the compiled rules of $typeName let pass is valid", (schema) => {
  const isFine = compileChecks(schema);
  fc.assert(
    fc.property(fieldsOf(schema), (fields) => {
      const message = create(schema, fields);
      const verdict = validator.validate(schema, message).kind;
      expect(isFine(message) ? verdict : "valid").toBe("valid");
    }),
    { numRuns: 40 },
  );
});

test("a good call is let pass by the compiled rules, and each rule can stop a bad one", () => {
  const isFine = compileChecks(ExecuteWorkflowRequestSchema);
  const good = { workflow: "create-task", linkedAccountId: "john@acme.io", payload: { a: [1] } };
  const full = {
    ...good,
    slug: "asana",
    syncExecution: true,
    configId: "c",
    tag: "😀".repeat(128),
    workflowVersion: 1,
    wait: 60,
  };
  for (const fields of [good, full]) {
    expect(isFine(create(ExecuteWorkflowRequestSchema, fields))).toBe(true);
  }
  const bad = [
    { workflow: "" },
    { workflow: "é" },
    { linkedAccountId: "" },
    { linkedAccountId: "a".repeat(257) },
    { slug: "a b" },
    { configId: "" },
    { tag: "a".repeat(129) },
    { workflowVersion: 0 },
    { wait: 61 },
    { wait: -1 },
    { idempotencyKey: "ü" },
  ];
  for (const fields of bad) {
    expect([fields, isFine(create(ExecuteWorkflowRequestSchema, { ...full, ...fields }))]).toEqual([fields, false]);
  }
});
