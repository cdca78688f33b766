import type { Logger } from "pino";
import type { Config } from "../config.ts";
import type { Invoke } from "../domain/http/call.ts";
import type { KeyChecksums } from "../domain/keys/key-checksum.ts";
import { Scope } from "../gen/flowcall/v1/options_pb.ts";
import type { Stores } from "../storage/stores.ts";
import { type FirstKeys, foundFirstOrganization } from "./first-organization.ts";
import { type KeptKey, listKeptKeys } from "./known-keys.ts";
import { loadExamples, readSeed } from "./load-examples.ts";

/** What a person may be told who has started a process. */
export type Started = {
  /** The keys, when this start founded the first organisation. */
  readonly firstKeys?: FirstKeys;
  /** The keys that the process has, and that the database takes. */
  readonly keys: readonly KeptKey[];
  /** The environments that have the example workflows. */
  readonly exampleEnvironmentIds: readonly string[];
};

export type PrepareTenants = Pick<Stores, "tenants" | "apiKeys"> & {
  readonly config: Config;
  readonly log: Logger;
  readonly keyChecksums: KeyChecksums;
  readonly invoke: Invoke;
  /** Where the examples are read from. */
  readonly examples: string;
};

/** Founds the first organisation where there is none, loads the examples where they are wanted, and looks at the keys. */
export async function prepareTenants(options: PrepareTenants): Promise<Started> {
  const { config, tenants, apiKeys, keyChecksums, invoke, examples, log } = options;
  const seed = config.examples ? await readSeed(examples) : undefined;
  const firstKeys = await foundFirstOrganization({ config, tenants, keyChecksums, seed });
  const environments = seed === undefined ? [] : await tenants.listEnvironments(seed.organization);
  for (const environment of environments) {
    await loadExamples(examples, invoke, { ...environment, keyId: "examples", scopes: [Scope.READ, Scope.AUTHOR] });
  }
  const kept = await listKeptKeys(config, async (hash) => (await apiKeys.findPrincipal(hash))?.principal.environmentId);
  const keys = kept.filter(({ environmentId }) => environmentId !== undefined);
  for (const { place } of kept.filter((key) => !keys.includes(key))) {
    log.warn(place, "the database does not take this key: calls with it are refused");
  }
  const exampleEnvironmentIds = environments.map(({ environmentId }) => environmentId);
  return { ...(firstKeys !== undefined && { firstKeys }), keys, exampleEnvironmentIds };
}
