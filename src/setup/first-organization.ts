import { mkdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import type { Config } from "../config.ts";
import { replaceFile } from "../domain/atomic-file.ts";
import { keyTextOf } from "../domain/keys/api-key.ts";
import type { KeyChecksums } from "../domain/keys/key-checksum.ts";
import type { EnvironmentKind } from "../domain/principal.ts";
import { Scope } from "../gen/flowcall/v1/options_pb.ts";
import type { TenantStore } from "../storage/tenants/tenant-store.ts";
import { dataDirName, keysFileIn } from "./data-dir.ts";
import type { Seed } from "./load-examples.ts";

/** The keys of the first organisation, one for each environment. */
export type FirstKeys = Readonly<Record<EnvironmentKind, string>>;

const keysSchema = z.object({ test: z.string(), production: z.string() });

const allScopes = [Scope.EXECUTE, Scope.READ, Scope.AUTHOR, Scope.ADMIN];

export type FirstOrganizationOptions = {
  readonly config: Config;
  readonly tenants: TenantStore;
  readonly keyChecksums: KeyChecksums;
  readonly seed: Seed | undefined;
};

/**
 * Creates the first organisation in an empty database, and returns its keys if it did.
 *
 * It is idempotent: the keys are on disk before they are in the database, which gets everything in one transaction. A start
 * that is interrupted in between is repeated by the next one with the same keys. Of two processes only one succeeds.
 */
export async function createFirstOrganization(options: FirstOrganizationOptions): Promise<FirstKeys | undefined> {
  const { config, tenants, keyChecksums, seed } = options;
  if (!(await tenants.isEmpty())) {
    return undefined;
  }
  const keys = await firstKeys(config, keyChecksums);
  const isFounded = await tenants.found({
    name: seed?.organization ?? "default",
    keys: [keyRow("test", keys.test), keyRow("production", keys.production)],
    integrations: seed?.integrations ?? [],
    linkedAccounts: seed?.linkedAccounts ?? [],
  });
  return isFounded ? keys : undefined;
}

function keyRow(environment: EnvironmentKind, key: string) {
  return { environment, ...keyTextOf(key), name: `first ${environment} key`, scopes: allScopes };
}

async function firstKeys(config: Config, keyChecksums: KeyChecksums): Promise<FirstKeys> {
  const kept = await readKeys(keysFileIn(config.dataDir));
  const keys = {
    test: config.testKey ?? kept?.test ?? keyChecksums.newKey("test"),
    production: config.productionKey ?? kept?.production ?? keyChecksums.newKey("production"),
  };
  for (const [environment, key] of Object.entries(keys)) {
    if (keyChecksums.originOf(key) === "FORGED") {
      throw new Error(`the first ${environment} key looks like one of this database, but its checksum is wrong`);
    }
  }
  await writeKeys(keysFileIn(config.dataDir), keys);
  return keys;
}

/** Reads `keys.json`. Undefined if there is none. */
export async function readKeys(file: string): Promise<FirstKeys | undefined> {
  try {
    return keysSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return undefined;
    }
    // The message of JSON.parse quotes the text, and the error is logged.
    const cause = error instanceof SyntaxError ? new Error("it is not JSON") : error;
    throw new Error(`${file} cannot be read as the keys that it should hold`, { cause });
  }
}

async function writeKeys(file: string, keys: FirstKeys): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  // The default folder may lie in a repository, and git would add the keys. Another folder belongs to its owner.
  if (basename(dirname(file)) === dataDirName) {
    await replaceFile(join(dirname(file), ".gitignore"), { text: "*\n", mode: 0o644 });
  }
  await replaceFile(file, { text: `${JSON.stringify(keys, undefined, 2)}\n`, mode: 0o600 });
}
