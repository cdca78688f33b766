import { createHash, randomBytes } from "node:crypto";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import pg from "pg";

/** The numbers by which the database knows the scopes. */
const scopeNumbers = [1, 2, 3, 4];

export type Tenant = {
  readonly url: string;
  readonly environmentId: string;
  /** With all scopes, for the environments test and production. */
  readonly key: string;
  readonly productionKey: string;
  readonly account: string;
};

const newId = () => randomBytes(12).toString("hex");

/**
 * Founds an organisation by SQL, since servers of every version are to be attacked, and gives it keys by the API, so that
 * they are as the server's own version makes them.
 */
export async function foundTenant(url: string, connection: pg.ClientConfig, name: string): Promise<Tenant> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    const organization = newId();
    await client.query("insert into organization (id, name) values ($1, $2)", [organization, name]);
    const keys: string[] = [];
    const environments = { test: newId(), production: newId() };
    for (const [kind, id] of Object.entries(environments)) {
      await client.query("insert into environment (id, organization_id, kind) values ($1, $2, $3)", [
        ...[id, organization, kind],
      ]);
      const key = `${kind === "test" ? "tk" : "pk"}${name}-${randomBytes(12).toString("hex")}`;
      keys.push(key);
      await client.query(
        "insert into api_key (id, environment_id, hash, prefix, name, scopes) values ($1, $2, $3, $4, $5, $6)",
        [newId(), id, createHash("sha256").update(key).digest("hex"), key.slice(0, 6), "first", scopeNumbers],
      );
      await client.query("insert into integration (environment_id, slug, name) values ($1, 'slug', 'Slug')", [id]);
      await client.query("insert into linked_account (environment_id, account_id, attributes) values ($1, $2, '{}')", [
        id,
        `${name}@a.io`,
      ]);
    }
    const [first = "", productionKey = ""] = keys;
    const tenant = { url, environmentId: environments.test, key: first, productionKey, account: `${name}@a.io` };
    const scopes = ["execute", "read", "author", "admin"];
    return {
      ...tenant,
      key: await createKey(tenant, { scopes }),
      productionKey: await createKey({ ...tenant, key: productionKey }, { scopes }),
    };
  } finally {
    await client.end();
  }
}

/** Makes a key more, with the restrictions that the API takes. */
export async function createKey(tenant: Tenant, restrictions: JsonObject): Promise<string> {
  const { key } = await callApi(tenant, "POST", "/api/v1/api-key", { name: "one more", ...restrictions });
  return String(key);
}

/** Publishes a workflow of Start and the nodes that follow it one after the other. Answers its id. */
export async function publishLine(tenant: Tenant, alias: string, nodes: readonly JsonObject[]): Promise<string> {
  return await publish(tenant, alias, lineOf(nodes));
}

/** A definition of Start, with the ids 1, 2 …, and the nodes that follow it one after the other. */
export function lineOf(nodes: readonly JsonObject[], apiCall: JsonObject = {}): JsonObject {
  const all = [{ start: { api_call: apiCall } }, ...nodes].map((node, index) => ({ id: String(index + 1), ...node }));
  const edges = all.slice(1).map(({ id }, index) => ({ source: String(index + 1), target: id }));
  return { nodes: all, edges };
}

export async function publish(tenant: Tenant, alias: string, definition: JsonObject): Promise<string> {
  const id = await saveWorkflow(tenant, alias, definition);
  await callApi(tenant, "POST", `/api/v1/workflow/${id}/publish`, {});
  return id;
}

/** Creates a workflow whose draft is this definition. Answers its id. */
export async function saveWorkflow(tenant: Tenant, alias: string, definition: JsonObject): Promise<string> {
  const { id } = await callApi(tenant, "POST", "/api/v1/workflow", { slug: "slug", alias, name: alias });
  await callApi(tenant, "PUT", `/api/v1/workflow/${id}/draft`, definition);
  return String(id);
}

/** Calls the API, and throws where it refuses. */
export async function callApi(
  { url, key }: Pick<Tenant, "url" | "key">,
  method: string,
  path: string,
  body?: JsonObject,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly [name: string]: JsonValue | undefined }> {
  const reply = await fetch(`${url}${path}`, {
    method,
    headers: { "x-api-key": key, "content-type": "application/json", ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  if (!reply.ok) {
    throw new Error(`${method} ${path} is answered ${reply.status}: ${text.slice(0, 500)}`);
  }
  return JSON.parse(text);
}
