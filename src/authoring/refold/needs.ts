import type { JsonObject } from "@bufbuild/protobuf";

/** What has to be there before an imported workflow can do what the original did. */
export type ImportNeeds = {
  readonly integrations: readonly IntegrationNeed[];
  readonly functions: readonly FunctionNeed[];
  /** What PutConfig takes: each field of the workflow and of its integration, without a value. */
  readonly config: JsonObject;
};

/** An integration that nodes call. Each linked account needs a connection to it. */
export type IntegrationNeed = {
  readonly slug: string;
  readonly nodeIds: readonly string[];
  /** Its fields that templates read. */
  readonly fields: readonly string[];
  readonly baseUrls: readonly string[];
  readonly actions: readonly OperationNeed[];
};

/** A function of the organisation, whose code is not in the export. */
export type FunctionNeed = Omit<OperationNeed, "operation"> & { readonly name: string };

/** An operation that nodes call: what they give it, and what later nodes read of its output. */
export type OperationNeed = {
  readonly operation: string;
  readonly nodeIds: readonly string[];
  readonly parameters: readonly string[];
  readonly outputPaths: readonly string[];
};

/** One call, as it is met. */
export type NeededCall = {
  readonly slug: string;
  /** Absent for a request whose URL the node says itself. */
  readonly operation?: string;
  readonly nodeId: string;
  readonly parameters: readonly string[];
  readonly baseUrl?: string;
};

/** Collects what the nodes need. */
export class NeedList {
  readonly #calls: NeededCall[] = [];
  readonly #functions: Omit<NeededCall, "slug">[] = [];

  call(call: NeededCall): void {
    this.#calls.push(call);
  }

  /** A function of the organisation, by its name. */
  callFunction(call: { readonly operation: string; readonly nodeId: string; readonly parameters: readonly string[] }) {
    this.#functions.push(call);
  }

  integrations(
    { slug: own, fields }: { readonly slug: string; readonly fields: readonly string[] },
    reads: ReadonlyMap<string, ReadonlySet<string>>,
  ): readonly IntegrationNeed[] {
    const bySlug = Map.groupBy(this.#calls, ({ slug }) => slug);
    const slugs = new Set([...bySlug.keys(), ...(fields.length > 0 ? [own] : [])]);
    return [...slugs].toSorted().map((slug) => {
      const calls = bySlug.get(slug) ?? [];
      return {
        slug,
        nodeIds: calls.map(({ nodeId }) => nodeId),
        fields: slug === own ? fields : [],
        baseUrls: distinct(calls.map(({ baseUrl }) => baseUrl)),
        actions: operations(calls, reads),
      };
    });
  }

  functions(reads: ReadonlyMap<string, ReadonlySet<string>>): readonly FunctionNeed[] {
    return operations(this.#functions, reads).map(({ operation: name, ...rest }) => ({ name, ...rest }));
  }
}

function operations(
  calls: readonly Omit<NeededCall, "slug">[],
  reads: ReadonlyMap<string, ReadonlySet<string>>,
): readonly OperationNeed[] {
  const byOperation = Map.groupBy(calls, ({ operation }) => operation);
  return [...byOperation]
    .flatMap(([operation, own]) => (operation === undefined ? [] : [{ operation, own }]))
    .toSorted((left, right) => (left.operation < right.operation ? -1 : 1))
    .map(({ operation, own }) => ({
      operation,
      nodeIds: own.map(({ nodeId }) => nodeId),
      parameters: distinct(own.flatMap(({ parameters }) => parameters)),
      outputPaths: distinct(own.flatMap(({ nodeId }) => [...(reads.get(nodeId) ?? [])])),
    }));
}

function distinct(texts: readonly (string | undefined)[]): readonly string[] {
  return [...new Set(texts)].filter((text) => text !== undefined && text !== "").toSorted() as readonly string[];
}
