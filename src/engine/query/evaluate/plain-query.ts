import type { JsonValue } from "@bufbuild/protobuf";
import type { Data } from "../../pool/data-texts.ts";
import { textOf } from "../../templates/text-budget.ts";
import type { Variable } from "../bind-templates.ts";
import type { AstNode } from "../syntax/cheap-query.ts";

/** The result of `PlainQuery.evaluate` where JSONata has to evaluate the query. */
export const notPlain: unique symbol = Symbol("not plain");

/** The members of a node in a plain query. A node with any other member is not plain. */
const plainMembers: ReadonlySet<string> = new Set([
  ...["type", "value", "position", "expressions", "expression", "lhs", "rhs", "condition", "then", "else"],
  // `isScalar` is a mark of `isCheap`. `consarray` has an effect in paths alone.
  ...["isScalar", "consarray"],
]);

/** The values of the templates, by the index of their variable. */
type Values = readonly unknown[];
type Evaluate = (values: Values) => unknown;

/** A longer text is left to JSONata, whose evaluation has a budget. No step runs twice, so nothing else can grow. */
const textMax = 16 * 1024;

/**
 * A query that only puts values together: objects, arrays, conditions, comparisons, arithmetic and `&`, over literals and
 * templates. It is evaluated at once, which costs a tenth of JSONata's asynchronous evaluation, and gives exactly its result.
 * Whatever is not the plain case of a step (an error, a container where a scalar belongs) is left to JSONata, which starts
 * again: queries are pure.
 */
export class PlainQuery {
  readonly #evaluate: Evaluate;
  readonly #variables: readonly Variable[];

  private constructor(evaluate: Evaluate, variables: readonly Variable[]) {
    this.#evaluate = evaluate;
    this.#variables = variables;
  }

  /** Gives undefined where the query is not plain. */
  static compile(ast: object, variables: readonly Variable[]): PlainQuery | undefined {
    const evaluate = compile(ast, new Map(variables.map(({ name }, index) => [name, index])));
    return evaluate && new PlainQuery(evaluate, variables);
  }

  evaluate(bound: readonly Data[]): unknown {
    try {
      return this.#evaluate(bound.map(({ value }, index) => this.#bound(value, index)));
    } catch (error) {
      if (error === unusual) {
        return notPlain;
      }
      throw error;
    }
  }

  #bound(value: JsonValue | undefined, index: number): unknown {
    return this.#variables[index]?.form === "text" ? textOf(scalar(value)) : value;
  }
}

/** Thrown where a step is not the plain case. */
const unusual = new Error("the query is not plain");

function compile(node: AstNode | undefined, names: ReadonlyMap<unknown, number>): Evaluate | undefined {
  if (node === undefined || !Object.keys(node).every((member) => plainMembers.has(member))) {
    return undefined;
  }
  switch (node.type) {
    case "string":
    case "number":
    case "value":
      return () => node.value;
    case "variable": {
      const index = names.get(node.value);
      return index === undefined ? undefined : (values) => values[index];
    }
    case "block":
      return compileAll(node.expressions, names, (parts) => (values) => {
        let result: unknown;
        for (const part of parts) {
          result = part(values);
        }
        return result;
      });
    case "condition":
      return compileCondition(node, names);
    case "binary":
      return compileBinary(node, names);
    case "unary":
      return compileUnary(node, names);
    default:
      return undefined;
  }
}

function compileAll(
  nodes: readonly (AstNode | undefined)[] | undefined,
  names: ReadonlyMap<unknown, number>,
  make: (parts: readonly Evaluate[]) => Evaluate,
): Evaluate | undefined {
  const parts = (nodes ?? []).map((node) => compile(node, names)).filter((part) => part !== undefined);
  return nodes === undefined || parts.length < nodes.length ? undefined : make(parts);
}

function compileCondition(node: AstNode, names: ReadonlyMap<unknown, number>): Evaluate | undefined {
  const others = node.else === undefined ? [] : [node.else];
  return compileAll([node.condition, node.then, ...others], names, ([condition, then, otherwise]) => (values) => {
    return truth(condition?.(values)) ? then?.(values) : otherwise?.(values);
  });
}

function compileBinary({ value, lhs, rhs }: AstNode, names: ReadonlyMap<unknown, number>): Evaluate | undefined {
  const left = compile(nodeOf(lhs), names);
  const right = compile(rhs, names);
  if (left === undefined || right === undefined) {
    return undefined;
  }
  switch (value) {
    case "and":
      return (values) => truth(left(values)) && truth(right(values));
    case "or":
      return (values) => truth(left(values)) || truth(right(values));
    default: {
      const operator = operators.get(value);
      return operator && ((values) => operator(left(values), right(values)));
    }
  }
}

function compileUnary(node: AstNode, names: ReadonlyMap<unknown, number>): Evaluate | undefined {
  switch (node.value) {
    case "[":
      return compileAll(node.expressions, names, (parts) => (values) => {
        const items: unknown[] = [];
        for (const [index, part] of parts.entries()) {
          const item = part(values);
          // A list becomes a part of the list around it, unless it is written as one.
          if (Array.isArray(item) && node.expressions?.[index]?.value !== "[") {
            items.push(...checkedItems(item));
          } else if (item !== undefined) {
            items.push(item);
          }
        }
        return items;
      });
    case "{": {
      const pairs = nodeOf(node.lhs) === undefined ? (node.lhs as readonly (readonly [AstNode, AstNode])[]) : undefined;
      const keys = (pairs ?? []).map(([key]) => (key.type === "string" ? String(key.value) : ""));
      const isPlain = pairs !== undefined && new Set(keys).size === keys.length && keys.every(isPlainKey);
      return isPlain
        ? compileAll(
            pairs.map(([, member]) => member),
            names,
            (parts) => (values) => {
              const object: Record<string, unknown> = {};
              for (const [index, part] of parts.entries()) {
                const member = part(values);
                if (member !== undefined) {
                  object[keys[index] ?? ""] = member;
                }
              }
              return object;
            },
          )
        : undefined;
    }
    default:
      return undefined;
  }
}

/** Names by which JSONata or JavaScript recognise something else are left to JSONata. */
function isPlainKey(key: string): boolean {
  return key !== "" && !key.startsWith("_");
}

function nodeOf(lhs: AstNode["lhs"]): AstNode | undefined {
  // The pairs of an object constructor are the only list.
  return Array.isArray(lhs) ? undefined : (lhs as AstNode | undefined);
}

/** More arguments than this are too many for a call. */
const itemsMax = 1_000;

function checkedItems(items: readonly unknown[]): readonly unknown[] {
  if (items.length > itemsMax) {
    throw unusual;
  }
  return items;
}

type Scalar = string | number | boolean | null | undefined;

const operators: ReadonlyMap<unknown, (left: unknown, right: unknown) => Scalar> = new Map<
  unknown,
  (left: unknown, right: unknown) => Scalar
>([
  ["&", (left, right) => short(spelled(left) + spelled(right))],
  ["=", (left, right) => left !== undefined && right !== undefined && scalar(left) === scalar(right)],
  ["!=", (left, right) => left !== undefined && right !== undefined && scalar(left) !== scalar(right)],
  ["<", compare((left, right) => left < right)],
  ["<=", compare((left, right) => left <= right)],
  [">", compare((left, right) => left > right)],
  [">=", compare((left, right) => left >= right)],
  ["in", (left, right) => left !== undefined && [right].flat().includes(scalar(left))],
  ["+", calculate((left, right) => left + right)],
  ["-", calculate((left, right) => left - right)],
  ["*", calculate((left, right) => left * right)],
  ["/", calculate((left, right) => left / right)],
  ["%", calculate((left, right) => left % right)],
]);

function scalar(value: unknown): Scalar {
  if (typeof value === "object" && value !== null) {
    throw unusual;
  }
  // Values are JSON.
  return value as Scalar;
}

/** JSONata's effective boolean value. */
function truth(value: unknown): boolean {
  return Boolean(scalar(value));
}

/** A text as `&` takes it. JSONata rounds fractions to 15 digits. */
function spelled(value: unknown): string {
  const known = scalar(value);
  if (typeof known === "number" && !Number.isInteger(known)) {
    throw unusual;
  }
  return typeof known === "string" ? known : textOf(known);
}

function short(text: string): string {
  if (text.length > textMax) {
    throw unusual;
  }
  return text;
}

function compare<Value extends string | number>(holds: (left: Value, right: Value) => boolean) {
  return (left: unknown, right: unknown): boolean => {
    if (typeof left !== typeof right || (typeof left !== "number" && typeof left !== "string")) {
      throw unusual;
    }
    // Both are numbers, or both are strings.
    return holds(left as Value, right as Value);
  };
}

function calculate(compute: (left: number, right: number) => number) {
  return (left: unknown, right: unknown): number => {
    const result = typeof left === "number" && typeof right === "number" ? compute(left, right) : Number.NaN;
    if (!Number.isFinite(result)) {
      throw unusual;
    }
    return result;
  };
}
