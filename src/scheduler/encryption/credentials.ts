import type { Logger } from "pino";
import { RequestError } from "../../domain/request-error.ts";
import type { ConnectionStore, Sealed } from "../../storage/tenants/connection-store.ts";
import type { Sealing } from "./sealing.ts";

/** The connection that credentials belong to. What was encrypted for one connection decrypts for no other. */
export type CredentialOwner = { readonly environmentId: string; readonly accountId: string; readonly slug: string };

const batchMax = 100;

/** Encrypts a connection's credentials. Throws RequestError with ENCRYPTION_KEYS_MISSING. */
export function sealCredentials(
  sealing: Sealing,
  owner: CredentialOwner,
  credentials: Readonly<Record<string, string>>,
): Sealed {
  if (!sealing.canSeal) {
    throw credentialKeysMissing();
  }
  return {
    sealed: sealing.seal(Buffer.from(JSON.stringify(credentials)), contextOf(owner)),
    sealedBy: sealing.keyName,
  };
}

/** The inverse of `sealCredentials`. Undefined where no key decrypts them. */
export function openCredentials(
  sealing: Sealing,
  owner: CredentialOwner,
  { sealed }: Pick<Sealed, "sealed">,
): Readonly<Record<string, string>> | undefined {
  const opened = sealing.open(sealed, contextOf(owner));
  // `sealCredentials` wrote it from such an object.
  return opened && (JSON.parse(opened.toString()) as Record<string, string>);
}

export type ResealOptions = {
  readonly connections: ConnectionStore;
  readonly sealing: Sealing;
  readonly log: Logger;
};

/**
 * Rotates the master key: encrypts by the first key all credentials that another key encrypted. An old key may be removed
 * once every process has started with the new one. Credentials that no key decrypts stay as they are and are logged.
 */
export async function resealCredentials({ connections, sealing, log }: ResealOptions): Promise<void> {
  if (!sealing.canSeal) {
    return;
  }
  const sealedBy = sealing.keyName;
  let resealed = 0;
  let batch = await connections.listSealedByOthers({ sealedBy }, batchMax);
  for (; batch.length > 0; ) {
    for (const connection of batch) {
      const context = contextOf(connection);
      const opened = sealing.open(connection.sealed, context);
      if (opened === undefined) {
        log.error({ slug: connection.slug }, "no encryption key opens a connection's credentials");
      } else if (await connections.reseal(connection, { sealed: sealing.seal(opened, context), sealedBy })) {
        resealed += 1;
      }
    }
    const after = batch.at(-1);
    batch = after === undefined ? [] : await connections.listSealedByOthers({ sealedBy, after }, batchMax);
  }
  if (resealed > 0) {
    log.info({ connections: resealed }, "credentials are encrypted by the new key");
  }
}

function contextOf({ environmentId, accountId, slug }: CredentialOwner): string {
  return JSON.stringify(["connection", environmentId, accountId, slug]);
}

function credentialKeysMissing(): RequestError {
  return new RequestError(
    "ENCRYPTION_KEYS_MISSING",
    "Credentials have to be stored encrypted, and the service has no encryption key. Set FLOWCALL_ENCRYPTION_KEYS.",
  );
}
