import type { Logger } from "pino";
import type { ConnectionStore, Sealed } from "../../storage/tenants/connection-store.ts";
import type { VariableStore } from "../../storage/tenants/variable-store.ts";
import type { Sealing } from "./sealing.ts";
import { credentialKeysMissing, variableContext } from "./variables.ts";

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

/** What holds encrypted texts that a rotation of the master key encrypts anew. */
export type SealedRows<Row extends Sealed> = {
  listSealedByOthers(from: { readonly sealedBy: string; readonly after?: Row }, limit: number): Promise<readonly Row[]>;
  reseal(row: Row, sealed: Sealed): Promise<boolean>;
};

export type ResealOptions = {
  readonly connections: Pick<ConnectionStore, "listSealedByOthers" | "reseal">;
  readonly variables: Pick<VariableStore, "listSealedByOthers" | "reseal">;
  readonly sealing: Sealing;
  readonly log: Logger;
};

/**
 * Rotates the master key: encrypts by the first key all credentials and variables that another key encrypted. An old key may be
 * removed once every process has started with the new one. What no key decrypts stays as it is and is logged.
 */
export async function resealCredentials({ connections, variables, sealing, log }: ResealOptions): Promise<void> {
  if (!sealing.canSeal) {
    return;
  }
  const lost = (what: Record<string, string>) => log.error(what, "no encryption key opens a secret");
  const resealed =
    (await resealRows(connections, sealing, contextOf, ({ slug }) => lost({ slug }))) +
    (await resealRows(variables, sealing, variableContext, ({ name }) => lost({ variable: name })));
  if (resealed > 0) {
    log.info({ secrets: resealed }, "secrets are encrypted by the new key");
  }
}

async function resealRows<Row extends Sealed>(
  rows: SealedRows<Row>,
  sealing: Sealing,
  context: (row: Row) => string,
  onLost: (row: Row) => void,
): Promise<number> {
  const sealedBy = sealing.keyName;
  let resealed = 0;
  let batch = await rows.listSealedByOthers({ sealedBy }, batchMax);
  for (; batch.length > 0; ) {
    for (const row of batch) {
      const opened = sealing.open(row.sealed, context(row));
      if (opened === undefined) {
        onLost(row);
      } else if (await rows.reseal(row, { sealed: sealing.seal(opened, context(row)), sealedBy })) {
        resealed += 1;
      }
    }
    const after = batch.at(-1);
    batch = after === undefined ? [] : await rows.listSealedByOthers({ sealedBy, after }, batchMax);
  }
  return resealed;
}

function contextOf({ environmentId, accountId, slug }: CredentialOwner): string {
  return JSON.stringify(["connection", environmentId, accountId, slug]);
}
