import type { Config } from "../config.ts";
import { keyTextOf } from "../domain/keys/api-key.ts";
import type { EnvironmentKind } from "../domain/principal.ts";
import { keysFileIn } from "./data-dir.ts";
import { readKeys } from "./first-organization.ts";

/** A key that this process was given by a variable, or keeps in `keys.json`. */
export type KeptKey = {
  readonly environment: EnvironmentKind;
  /** Where a person finds it. */
  readonly place: { readonly variable: string } | { readonly file: string };
  /** The environment that it stands for; undefined where the database does not take it. */
  readonly environmentId: string | undefined;
};

export type FindEnvironment = (hash: string) => Promise<string | undefined>;

/** All of them, those of variables first. */
export async function listKeptKeys(config: Config, find: FindEnvironment): Promise<readonly KeptKey[]> {
  const file = keysFileIn(config.dataDir);
  const kept = await readKeys(file);
  const places = [
    { environment: "test", key: config.testKey, place: { variable: "FLOWCALL_TEST_KEY" } },
    { environment: "production", key: config.productionKey, place: { variable: "FLOWCALL_PRODUCTION_KEY" } },
    { environment: "test", key: kept?.test, place: { file } },
    { environment: "production", key: kept?.production, place: { file } },
  ] as const;
  const all: KeptKey[] = [];
  for (const { environment, key, place } of places) {
    if (key === undefined) continue;
    all.push({ environment, place, environmentId: await find(keyTextOf(key).hash) });
  }
  return all;
}
