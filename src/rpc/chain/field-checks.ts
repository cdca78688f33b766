import { type DescField, type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import { isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import {
  FieldRulesSchema,
  field as fieldRules,
  message as messageRules,
  oneof as oneofRules,
} from "../../gen/buf/validate/validate_pb.ts";

/** Whether a value surely keeps to its rules. False where only protovalidate can tell. */
type Check = (value: unknown) => boolean;

/**
 * Compiles the validation rules of a message type into plain comparisons. A message that passes them is valid. Of one that
 * does not, protovalidate decides, and it words each refusal; rules that are not compiled, such as CEL, are left to it.
 */
export function compileChecks(schema: DescMessage): (message: Message) => boolean {
  return messageCheck(schema, new Map()) ?? (() => true);
}

const never: Check = () => false;

/**
 * The check of a message; undefined where there is nothing to check.
 * @param known the checks of the types so far: a type that contains itself finds its own there
 */
function messageCheck(schema: DescMessage, known: Map<DescMessage, Check | undefined>): Check | undefined {
  // The types of protobuf itself have no rules, and a Struct is no message here.
  if (schema.typeName.startsWith("google.protobuf.")) {
    return undefined;
  }
  if (known.has(schema)) {
    return known.get(schema);
  }
  let checks: readonly Check[] = [];
  const check: Check = (message) => checks.every((isFine) => isFine(message));
  known.set(schema, check);
  const { cel, celExpression, oneof } = getOption(schema, messageRules);
  const isRuled = cel.length + celExpression.length + oneof.length > 0;
  const isOneofRuled = schema.oneofs.some((member) => getOption(member, oneofRules).required);
  checks =
    isRuled || isOneofRuled
      ? [never]
      : schema.fields.flatMap((field) => fieldCheck(field, field.message && messageCheck(field.message, known)) ?? []);
  const own = checks.length === 0 ? undefined : check;
  known.set(schema, own);
  return own;
}

/** @param part the check of the message, or of each of the messages, that the field holds */
function fieldCheck(field: DescField, part: Check | undefined): Check | undefined {
  const rules = getOption(field, fieldRules);
  const checks = [...ruleChecksOf(reflect(FieldRulesSchema, rules))];
  if (part !== undefined) {
    checks.push(field.fieldKind === "message" ? part : (parts) => Object.values(Object(parts)).every(part));
  }
  const { required } = rules;
  if (checks.length === 0 && !required) {
    return undefined;
  }
  const read = readerOf(field);
  return (message) => {
    const value = read(message);
    return value === undefined ? !required : checks.every((isFine) => isFine(value));
  };
}

/** Reads a field: undefined where it is not set, or where it is required and holds what counts as nothing. */
function readerOf(field: DescField): (message: unknown) => unknown {
  const { localName, oneof } = field;
  // Protobuf-es offers no way to read a field by its descriptor without making an object for it.
  type Fields = Readonly<Record<string, unknown>>;
  if (oneof !== undefined) {
    return (message) => {
      const chosen = (message as Readonly<Record<string, Fields>>)[oneof.localName];
      return chosen?.["case"] === localName ? chosen["value"] : undefined;
    };
  }
  const isImplicit = field.presence === FeatureSet_FieldPresence.IMPLICIT;
  if (!isImplicit || !getOption(field, fieldRules).required) {
    return (message) => (message as Fields)[localName];
  }
  return (message) => {
    const value = (message as Fields)[localName];
    const isNothing = !value || (typeof value === "object" && Object.keys(value).length === 0);
    return isNothing ? undefined : value;
  };
}

/** The checks of all the rules of a field, but `required`. */
function* ruleChecksOf(rules: ReflectMessage): Iterable<Check> {
  for (const { localName: kind, value } of membersOf(rules)) {
    if (kind === "required") {
      continue;
    }
    // CEL, and what says when rules are ignored, is no message of rules for a type.
    if (!isReflectMessage(value)) {
      yield never;
      continue;
    }
    for (const { localName, value: bound } of membersOf(value)) {
      yield compiledRules[`${kind}.${localName}`]?.(bound) ?? never;
    }
  }
}

function membersOf(rules: ReflectMessage) {
  const set = rules.fields.filter((field) => rules.isSet(field));
  return set.map((field) => ({ localName: field.localName, value: rules.get(field) }));
}

/** Compiles a rule, by its kind and name; `bound` is the value that the rule has. */
const compiledRules: Readonly<Record<string, (bound: unknown) => Check>> = {
  "string.minLen": (min) => (text) => String(text).length >= 2 * Number(min) || codePoints(text) >= Number(min),
  "string.maxLen": (max) => (text) => String(text).length <= Number(max) || codePoints(text) <= Number(max),
  // RE2 and V8 agree on the patterns of our proto files, which a test compares.
  "string.pattern": (source) => {
    const pattern = new RegExp(String(source), "u");
    return (text) => pattern.test(String(text));
  },
  "int32.gte": (min) => (value) => Number(value) >= Number(min),
  "int32.lte": (max) => (value) => Number(value) <= Number(max),
  "repeated.maxItems": (max) => (items) => Object(items).length <= Number(max),
  "repeated.items": (rules) => partsCheck(rules, Object.values),
  "map.maxPairs": (max) => (pairs) => Object.keys(Object(pairs)).length <= Number(max),
  "map.keys": (rules) => partsCheck(rules, Object.keys),
  "map.values": (rules) => partsCheck(rules, Object.values),
};

function codePoints(text: unknown): number {
  return [...String(text)].length;
}

function partsCheck(rules: unknown, partsOf: (parts: object) => readonly unknown[]): Check {
  const checks = isReflectMessage(rules, FieldRulesSchema) ? [...ruleChecksOf(rules)] : [never];
  return (parts) => partsOf(Object(parts)).every((part) => checks.every((isFine) => isFine(part)));
}
