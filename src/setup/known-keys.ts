import type { Config } from "../config.ts";
import { keyTextOf } from "../domain/keys/api-key.ts";
import type { EnvironmentKind } from "../domain/principal.ts";
import { keysFileIn } from "./data-dir.ts";
import { readKeys } from "./first-organization.ts";

/** A key that this process knows from an environment variable or from `keys.json`. */
export type KnownKey = {
  readonly environment: EnvironmentKind;
  /** Where a person finds it. */
  readonly source: { readonly variable: string } | { readonly file: string };
  /** The environment that the key belongs to; undefined if the database does not accept it. */
  readonly environmentId: string | undefined;
};

export type FindEnvironment = (hash: string) => Promise<string | undefined>;

/** Lists the known keys, those of variables first. */
export async function listKnownKeys(config: Config, find: FindEnvironment): Promise<readonly KnownKey[]> {
  const file = keysFileIn(config.dataDir);
  const kept = await readKeys(file);
  const sources = [
    { environment: "test", key: config.testKey, source: { variable: "FLOWCALL_TEST_KEY" } },
    { environment: "production", key: config.productionKey, source: { variable: "FLOWCALL_PRODUCTION_KEY" } },
    { environment: "test", key: kept?.test, source: { file } },
    { environment: "production", key: kept?.production, source: { file } },
  ] as const;
  const all: KnownKey[] = [];
  for (const { environment, key, source } of sources) {
    if (key === undefined) {
      continue;
    }
    all.push({ environment, source, environmentId: await find(keyTextOf(key).hash) });
  }
  return all;
}
