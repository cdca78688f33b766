// Decides which queries are cheap enough for the service's thread, which also renews the lease: those in which no step can
// take long.
//
// It is an allow list over JSONata's syntax tree. Whatever it does not list is not cheap: functions that the query defines or
// passes as arguments, ranges, sorting, descendants, wildcards, regular expressions, pictures, parents, joins, grouping. Each
// step that is left takes time linear in its values, and `InlineBudget` counts these.

/** The members of a node of JSONata's syntax tree that are read here, and the marks that are set. */
export type AstNode = {
  readonly type?: string;
  readonly value?: unknown;
  readonly steps?: readonly AstNode[];
  readonly stages?: readonly AstFilter[];
  readonly predicate?: readonly AstFilter[];
  readonly expressions?: readonly AstNode[];
  readonly expression?: AstNode;
  /** The left side; in an object constructor, the pairs of keys and values. */
  readonly lhs?: AstNode | readonly (readonly [AstNode, AstNode])[];
  readonly rhs?: AstNode;
  readonly condition?: AstNode;
  readonly then?: AstNode;
  readonly else?: AstNode;
  readonly procedure?: AstNode;
  readonly arguments?: readonly AstNode[];
  /** Whether its result must not be a container, and whether it names the function of a call. */
  isScalar?: boolean;
  isProcedure?: boolean;
  /** Whether a text is searched for its result. */
  isPattern?: boolean;
};

type AstFilter = { readonly type?: string; readonly expr?: AstNode };

/** Longer queries are not parsed on the thread: JSONata's parser takes time quadratic in the length of a path. */
const textMax = 2_048;
const dotsMax = 200;
const nodesMax = 500;

/** The members of nodes that join, group, or read their surroundings. */
const otherParts = ["group", "focus", "index", "ancestor", "tuple", "seekingParent", "nextFunction"];

/** Operators that compare, concatenate or calculate. They are cheap where no operand is a container. */
const scalarOperators = new Set<unknown>(["+", "-", "*", "/", "%", "=", "!=", "<", "<=", ">", ">=", "&"]);
const otherOperators = new Set<unknown>(["and", "or", "in"]);

/** Decides by its arguments whether a call is cheap. */
type IsCheapCall = (args: readonly AstNode[]) => boolean;

const count =
  (min: number, max: number): IsCheapCall =>
  ({ length }) =>
    length >= min && length <= max;

/** Functions of texts and numbers. With a container among its arguments, the call goes to the pool. */
const scalarFunctions: ReadonlyMap<unknown, IsCheapCall> = new Map(
  Object.entries({
    string: count(1, 1),
    length: count(0, 1),
    substring: count(1, 3),
    substringBefore: count(1, 2),
    substringAfter: count(1, 2),
    lowercase: count(0, 1),
    uppercase: count(0, 1),
    trim: count(0, 1),
    contains: count(1, 2),
    split: count(1, 3),
    replace: count(2, 4),
    pad: ([_text, width, ...more]) => isSmallNumber(width) && more.length <= 1,
    number: count(0, 1),
    abs: count(0, 1),
    floor: count(0, 1),
    ceil: count(0, 1),
    round: count(0, 2),
    sqrt: count(0, 1),
    power: count(1, 2),
    formatBase: count(0, 2),
    now: count(0, 0),
    millis: count(0, 0),
    random: count(0, 0),
    fromMillis: count(1, 1),
    toMillis: count(1, 1),
    encodeUrl: count(0, 1),
    encodeUrlComponent: count(0, 1),
    decodeUrl: count(0, 1),
    decodeUrlComponent: count(0, 1),
    base64encode: count(0, 1),
    base64decode: count(0, 1),
    error: count(0, 1),
    uuid: count(0, 0),
    // The text must be an argument: the context is not charged again for each call.
    hash: count(1, 3),
  }),
);

/** Functions that read their arguments once. */
const linearFunctions: ReadonlyMap<unknown, IsCheapCall> = new Map(
  Object.entries({
    boolean: count(0, 1),
    not: count(0, 1),
    exists: count(1, 1),
    type: count(1, 1),
    count: count(1, 1),
    sum: count(1, 1),
    max: count(1, 1),
    min: count(1, 1),
    average: count(1, 1),
    keys: count(0, 1),
    lookup: count(1, 2),
    append: count(2, 2),
    reverse: count(1, 1),
    merge: count(1, 1),
    assert: count(1, 2),
    // A long separator would make a text of the product of both lengths.
    join: ([_texts, separator, more]) => more === undefined && (separator === undefined || isShortText(separator)),
  }),
);

/** Functions that search a text, or the context if there is no such argument, for another text. */
const searches = new Set<unknown>(["contains", "split", "replace", "substringBefore", "substringAfter"]);

function isSmallNumber(node: AstNode | undefined): boolean {
  return node?.type === "number" && Math.abs(Number(node.value)) <= 1_000;
}

function isShortText(node: AstNode): boolean {
  return node.type === "string" && String(node.value).length <= 16;
}

/** Whether a query may be cheap, and is cheap to parse. */
export function mayBeCheap(query: string): boolean {
  return query.length <= textMax && !/function|λ/.test(query) && query.split(".").length <= dotsMax;
}

/**
 * Whether each step of a parsed query is cheap. It marks the nodes whose result must not be a container and those that may give
 * a function, for `InlineBudget` to check.
 *
 * @param variables the names of the variables that the service binds
 */
export function isCheap(ast: object, variables: readonly string[]): boolean {
  return new CheapCheck(variables).isCheap(ast);
}

class CheapCheck {
  readonly #bound: Set<unknown>;
  readonly #variables: unknown[] = [];
  #nodes = 0;

  constructor(variables: readonly string[]) {
    // JSONata calls the context "" and the root "$".
    this.#bound = new Set<unknown>(["", "$", ...variables]);
  }

  isCheap(ast: AstNode): boolean {
    return this.#check(ast) && this.#variables.every((name) => this.#bound.has(name));
  }

  #check(node: AstNode | undefined): boolean {
    this.#nodes += 1;
    if (node === undefined || this.#nodes > nodesMax || otherParts.some((part) => part in node)) {
      return false;
    }
    const filters = [...(node.stages ?? []), ...(node.predicate ?? [])];
    return this.#checkKind(node) && filters.every(({ type, expr }) => type === "filter" && this.#check(expr));
  }

  #checkKind(node: AstNode): boolean {
    switch (node.type) {
      case "name":
      case "string":
      case "number":
      case "value":
        return true;
      case "variable":
        this.#variables.push(node.value);
        return true;
      case "path":
        return this.#all(node.steps);
      case "block":
        return this.#all(node.expressions);
      case "condition":
        return this.#all([node.condition, node.then, ...(node.else === undefined ? [] : [node.else])]);
      case "bind":
        this.#bound.add(isNode(node.lhs) ? node.lhs.value : undefined);
        return this.#check(node.rhs);
      case "binary":
        return this.#checkBinary(node);
      case "unary":
        return this.#checkUnary(node);
      case "function":
        return this.#checkCall(node);
      default:
        return false;
    }
  }

  #checkBinary({ value, lhs, rhs }: AstNode): boolean {
    const sides = [isNode(lhs) ? lhs : undefined, rhs];
    return scalarOperators.has(value) ? this.#allScalar(sides) : otherOperators.has(value) && this.#all(sides);
  }

  #checkUnary({ value, expression, expressions, lhs }: AstNode): boolean {
    switch (value) {
      case "-":
        return this.#allScalar([expression]);
      case "[":
        return this.#all(expressions);
      case "{":
        return !isNode(lhs) && (lhs ?? []).every(([key, member]) => this.#allScalar([key]) && this.#check(member));
      default:
        return false;
    }
  }

  #checkCall({ procedure, arguments: args = [] }: AstNode): boolean {
    if (procedure?.type !== "variable") {
      return false;
    }
    procedure.isProcedure = true;
    const pattern = args[args.length === 1 ? 0 : 1];
    if (pattern !== undefined && searches.has(procedure.value)) {
      pattern.isPattern = true;
    }
    const scalar = scalarFunctions.get(procedure.value);
    if (scalar !== undefined) {
      return scalar(args) && this.#allScalar(args);
    }
    return linearFunctions.get(procedure.value)?.(args) === true && this.#all(args);
  }

  #all(nodes: readonly (AstNode | undefined)[] = []): boolean {
    return nodes.every((node) => this.#check(node));
  }

  #allScalar(nodes: readonly (AstNode | undefined)[]): boolean {
    for (const node of nodes) {
      if (node !== undefined) {
        node.isScalar = true;
      }
    }
    return this.#all(nodes);
  }
}

function isNode(lhs: AstNode["lhs"]): lhs is AstNode {
  return lhs !== undefined && !Array.isArray(lhs);
}
