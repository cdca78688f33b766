import type { NewExecution } from "../../domain/execution.ts";
import { parseApiText } from "../../engine/secrets/api-declaration.ts";
import type { FoundConnection } from "../../engine/secrets/connection-source.ts";
import type { ConnectionStore } from "../../storage/tenants/connection-store.ts";
import { openCredentials } from "./credentials.ts";
import type { Sealing } from "./sealing.ts";

export type OpenConnectionOptions = {
  readonly connections: Pick<ConnectionStore, "find">;
  readonly sealing: Sealing;
};

/**
 * Reads and decrypts the connection of an execution's linked account, with what the integration says of its API. It is read
 * each time, so that what was changed a moment ago holds.
 *
 * @param slug the integration; that of the workflow if undefined
 */
export async function openConnection(
  { connections, sealing }: OpenConnectionOptions,
  { environmentId, workflowId, linkedAccountId: accountId }: NewExecution,
  slug: string | undefined,
): Promise<FoundConnection> {
  const found = await connections.find({ environmentId, workflowId, accountId, slug });
  if (found === undefined) {
    return { slug: slug ?? "", accountId, api: undefined, credentials: undefined };
  }
  const { sealed } = found;
  const owner = { environmentId, accountId, slug: found.slug };
  const credentials = sealed === undefined ? undefined : (openCredentials(sealing, owner, { sealed }) ?? "unreadable");
  return { slug: found.slug, accountId, api: parseApiText(found.api), credentials };
}
