import type { Logger } from "pino";
import type { Config } from "../config.ts";
import type { Invoke } from "../domain/http/call.ts";
import type { KeyChecksums } from "../domain/keys/key-checksum.ts";
import { Scope } from "../gen/flowcall/v1/options_pb.ts";
import type { Stores } from "../storage/stores.ts";
import { createFirstOrganization, type FirstKeys } from "./first-organization.ts";
import { type KnownKey, listKnownKeys } from "./known-keys.ts";
import { loadExamples, readSeed } from "./load-examples.ts";

/** The result of a start that the welcome message shows. */
export type Started = {
  /** The keys, if this start has created the first organisation. */
  readonly firstKeys?: FirstKeys;
  /** The keys that the process knows and the database accepts. */
  readonly keys: readonly KnownKey[];
  /** The environments that have the example workflows. */
  readonly exampleEnvironmentIds: readonly string[];
};

export type PrepareTenants = Pick<Stores, "tenants" | "apiKeys"> & {
  readonly config: Config;
  readonly log: Logger;
  readonly keyChecksums: KeyChecksums;
  readonly invoke: Invoke;
  /** The folder of the examples. */
  readonly examples: string;
};

/** Creates the first organisation if there is none, loads the examples if they are wanted, and checks the known keys. */
export async function prepareTenants(options: PrepareTenants): Promise<Started> {
  const { config, tenants, apiKeys, keyChecksums, invoke, examples, log } = options;
  const seed = config.examples ? await readSeed(examples) : undefined;
  const firstKeys = await createFirstOrganization({ config, tenants, keyChecksums, seed });
  const environments = seed === undefined ? [] : await tenants.listEnvironments(seed.organization);
  for (const environment of environments) {
    await loadExamples(examples, invoke, { ...environment, keyId: "examples", scopes: [Scope.READ, Scope.AUTHOR] });
  }
  const known = await listKnownKeys(
    config,
    async (hash) => (await apiKeys.findPrincipal(hash))?.principal.environmentId,
  );
  const keys = known.filter(({ environmentId }) => environmentId !== undefined);
  for (const { source } of known.filter((key) => !keys.includes(key))) {
    log.warn(source, "the database does not take this key: calls with it are refused");
  }
  const exampleEnvironmentIds = environments.map(({ environmentId }) => environmentId);
  return { ...(firstKeys !== undefined && { firstKeys }), keys, exampleEnvironmentIds };
}
