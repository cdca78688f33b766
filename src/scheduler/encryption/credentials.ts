import type { Logger } from "pino";
import type { ConnectionStore, Sealed } from "../../storage/tenants/connection-store.ts";
import { credentialKeysMissing } from "../accept/call-errors.ts";
import type { Sealing } from "./sealing.ts";

/** Which connection credentials belong to: encrypted for one they open for no other. */
export type CredentialOwner = { readonly environmentId: string; readonly accountId: string; readonly slug: string };

/** Connections that are read at a time to be encrypted anew. */
const batchMax = 100;

/** Encrypts a connection's credentials. Refuses with ENCRYPTION_KEYS_MISSING. */
export function sealCredentials(
  sealing: Sealing,
  owner: CredentialOwner,
  credentials: Readonly<Record<string, string>>,
): Sealed {
  if (!sealing.canSeal) throw credentialKeysMissing();
  return {
    sealed: sealing.seal(Buffer.from(JSON.stringify(credentials)), contextOf(owner)),
    sealedBy: sealing.keyName,
  };
}

export type ResealOptions = {
  readonly connections: ConnectionStore;
  readonly sealing: Sealing;
  readonly log: Logger;
};

/**
 * Encrypts anew, by the first key, what other keys have encrypted: after a start with a new first key the old one is
 * needed no more once every process has started so. What no key opens stays as it is, and is told.
 */
export async function resealCredentials({ connections, sealing, log }: ResealOptions): Promise<void> {
  if (!sealing.canSeal) return;
  const sealedBy = sealing.keyName;
  let resealed = 0;
  let batch = await connections.listSealedByOthers({ sealedBy }, batchMax);
  for (; batch.length > 0; ) {
    for (const connection of batch) {
      const context = contextOf(connection);
      const opened = sealing.open(connection.sealed, context);
      if (opened === undefined)
        log.error({ slug: connection.slug }, "no encryption key opens a connection's credentials");
      else if (await connections.reseal(connection, { sealed: sealing.seal(opened, context), sealedBy })) resealed += 1;
    }
    const after = batch.at(-1);
    batch = after === undefined ? [] : await connections.listSealedByOthers({ sealedBy, after }, batchMax);
  }
  if (resealed > 0) log.info({ connections: resealed }, "credentials are encrypted by the new key");
}

function contextOf({ environmentId, accountId, slug }: CredentialOwner): string {
  return JSON.stringify(["connection", environmentId, accountId, slug]);
}
