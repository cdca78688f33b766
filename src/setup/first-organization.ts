import { mkdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import type { Config } from "../config.ts";
import { writeWholeFile } from "../domain/atomic-file.ts";
import { keyTextOf } from "../domain/keys/api-key.ts";
import type { KeyChecksums } from "../domain/keys/key-checksum.ts";
import type { EnvironmentKind } from "../domain/principal.ts";
import { Scope } from "../gen/flowcall/v1/options_pb.ts";
import type { TenantStore } from "../storage/tenants/tenant-store.ts";
import { dataDirName, keysFileIn } from "./data-dir.ts";
import type { Seed } from "./load-examples.ts";

/** The first organisation's keys: one for each environment. */
export type FirstKeys = Readonly<Record<EnvironmentKind, string>>;

const keysSchema = z.object({ test: z.string(), production: z.string() });

const allScopes = [Scope.EXECUTE, Scope.READ, Scope.AUTHOR, Scope.ADMIN];

export type FirstRunOptions = {
  readonly config: Config;
  readonly tenants: TenantStore;
  readonly keyChecksums: KeyChecksums;
  readonly seed: Seed | undefined;
};

/**
 * Founds the first organisation in an empty database, with its keys. Answers the keys when it did.
 *
 * The keys are on disk before the database knows them, and the database learns everything in one transaction: a start
 * that is cut off in between is repeated by the next one with the same keys. Of two processes one founds.
 */
export async function foundFirstOrganization(options: FirstRunOptions): Promise<FirstKeys | undefined> {
  const { config, tenants, keyChecksums, seed } = options;
  if (!(await tenants.isEmpty())) return undefined;
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
      throw new Error(`the first ${environment} key looks like one of this database's, and its checksum is wrong`);
    }
  }
  await writeKeys(keysFileIn(config.dataDir), keys);
  return keys;
}

/** What `keys.json` holds; undefined where there is none. */
export async function readKeys(file: string): Promise<FirstKeys | undefined> {
  try {
    return keysSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    // What JSON.parse says quotes the text, and an error is logged.
    const cause = error instanceof SyntaxError ? new Error("it is not JSON") : error;
    throw new Error(`${file} cannot be read as the keys that it should hold`, { cause });
  }
}

async function writeKeys(file: string, keys: FirstKeys): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  // It lies beside somebody's workflow files, and git would add the keys with them. Another folder is its owner's.
  if (basename(dirname(file)) === dataDirName)
    await writeWholeFile(join(dirname(file), ".gitignore"), { text: "*\n", mode: 0o644 });
  await writeWholeFile(file, { text: `${JSON.stringify(keys, undefined, 2)}\n`, mode: 0o600 });
}
