import type { Arguments } from "../cli/command-line/arguments.ts";
import type { Options } from "../cli/command-line/command-text.ts";
import { usageError } from "../cli/output/cli-error.ts";
import { type ApiKeyRecord, keyTextOf, scopeWord, scopeWords } from "../domain/keys/api-key.ts";
import { KeyChecksums } from "../domain/keys/key-checksum.ts";
import { didYouMean } from "../domain/nearest.ts";
import type { EnvironmentKind } from "../domain/principal.ts";
import type { Scope } from "../gen/flowcall/v1/options_pb.ts";
import type { Organization } from "../storage/tenants/tenant-store.ts";
import { type AdminCommand, type AdminStores, operator } from "./admin-command.ts";
import { checkName, findOrganization } from "./organizations.ts";

const pageSize = 1_000;

const kinds: readonly EnvironmentKind[] = ["test", "production"];

const organizationOption: Options = {
  organization: { type: "string", value: "ORG", help: "the organisation, by name or id" },
};

export const keyCreate: AdminCommand = {
  name: "key create",
  summary: "Creates a key for an organisation, and prints it once.",
  positionals: [],
  options: {
    ...organizationOption,
    environment: { type: "string", value: "ENV", help: "test or production" },
    scope: { type: "string", multiple: true, value: "SCOPE", help: "execute, read, author or admin; may repeat" },
    name: { type: "string", value: "NAME", help: "its display name" },
  },
  example: "flowcall-admin key create --organization acme --environment production --scope admin",

  prepare(given, output) {
    const reference = organizationOf(given);
    const kind = environmentOf(given);
    if (kind === undefined) {
      throw usageError("Name the environment by --environment: test or production.");
    }
    const scopes = scopesOf(given);
    const name = checkName("The key's name", given.text("name") ?? "made by the operator");
    return async ({ tenants, apiKeys }) => {
      const organization = await findOrganization(tenants, reference);
      const secrets = await apiKeys.listSecrets();
      const key = new KeyChecksums(() => secrets).newKey(kind);
      const environmentId = organization.environments[kind];
      const maker = {
        organizationId: organization.id,
        environmentId,
        environment: kind,
        keyId: operator,
        scopes: Object.values(scopeWords),
      };
      const record = await apiKeys.create(maker, { ...keyTextOf(key), name, scopes });
      output.value({ api_key: keyJson(record, organization, kind), key }, key);
      const made = `key ${record.id} of ${organization.name}, ${kind}: ${record.scopes.map(scopeWord).join(", ")}`;
      output.note(`${made}. It is shown only once.`);
    };
  },
};

export const keyLs: AdminCommand = {
  name: "key ls",
  summary: "Lists the keys of an organisation, ended ones included. The keys' texts cannot be shown again.",
  positionals: [],
  options: {
    ...organizationOption,
    environment: { type: "string", value: "ENV", help: "test or production; both if absent" },
  },
  example: "flowcall-admin key ls --organization acme",

  prepare(given, output) {
    const reference = organizationOf(given);
    const kind = environmentOf(given);
    return async ({ tenants, apiKeys }) => {
      const organization = await findOrganization(tenants, reference);
      const asked = kind === undefined ? kinds : [kind];
      const lists = asked.map(async (each) =>
        (await listKeys(apiKeys, organization.environments[each])).map((record) => keyJson(record, organization, each)),
      );
      output.table((await Promise.all(lists)).flat(), [
        ["ID", ({ id }) => id],
        ["ENVIRONMENT", ({ environment }) => environment],
        ["NAME", ({ name }) => name],
        ["PREFIX", ({ prefix }) => prefix],
        ["SCOPES", ({ scopes }) => scopes.join(",")],
        ["CREATED", ({ create_time }) => create_time],
        ["ENDS", ({ revoke_time, expire_time }) => revoke_time ?? expire_time],
      ]);
    };
  },
};

async function listKeys(apiKeys: AdminStores["apiKeys"], environmentId: string): Promise<readonly ApiKeyRecord[]> {
  const all: ApiKeyRecord[] = [];
  for (let pageToken: string | undefined; ; ) {
    const page = await apiKeys.list(environmentId, { pageSize, ...(pageToken !== undefined && { pageToken }) });
    all.push(...page.apiKeys);
    pageToken = page.nextPageToken;
    if (pageToken === undefined) {
      return all;
    }
  }
}

function organizationOf(given: Arguments): string {
  const reference = given.text("organization");
  if (reference === undefined) {
    throw usageError("Name the organisation by --organization. See: flowcall-admin org ls");
  }
  return reference;
}

function environmentOf(given: Arguments): EnvironmentKind | undefined {
  const text = given.text("environment");
  const kind = kinds.find((each) => each === text);
  if (text !== undefined && kind === undefined) {
    throw usageError(`--environment must be test or production, not ${JSON.stringify(text)}.`);
  }
  return kind;
}

/** The scopes, each once, in the order of scopeWords. */
function scopesOf(given: Arguments): readonly Scope[] {
  const words = given.texts("scope").flatMap((text) => text.split(","));
  const known = Object.keys(scopeWords);
  const unknown = words.find((word) => !known.includes(word));
  if (words.length === 0) {
    throw usageError(`Name the key's scopes by --scope: ${known.join(", ")}.`);
  }
  if (unknown !== undefined) {
    throw usageError(
      `--scope must be one of ${known.join(", ")}, not ${JSON.stringify(unknown)}.${didYouMean(unknown, known)}`,
    );
  }
  return Object.entries(scopeWords).flatMap(([word, scope]) => (words.includes(word) ? [scope] : []));
}

function keyJson(record: ApiKeyRecord, organization: Organization, environment: EnvironmentKind) {
  const { id, name, prefix, scopes, createTime, expireTime, revokeTime } = record;
  return {
    id,
    organization_id: organization.id,
    environment,
    name,
    prefix,
    scopes: scopes.map(scopeWord),
    create_time: createTime.toISOString(),
    ...(expireTime !== undefined && { expire_time: expireTime.toISOString() }),
    ...(revokeTime !== undefined && { revoke_time: revokeTime.toISOString() }),
  };
}
