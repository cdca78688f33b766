import { RequestError } from "../../domain/request-error.ts";
import type { ReadVariable } from "../../engine/secrets/variable-source.ts";
import type { Sealed } from "../../storage/tenants/connection-store.ts";
import type { VariableStore } from "../../storage/tenants/variable-store.ts";
import type { Sealing } from "./sealing.ts";

/** The variable that a value belongs to. What was encrypted for one decrypts for no other. */
export type VariableKey = { readonly environmentId: string; readonly name: string };

/** Encrypts the value of a secret variable. Throws RequestError with ENCRYPTION_KEYS_MISSING. */
export function sealVariable(sealing: Sealing, key: VariableKey, value: string): Sealed {
  if (!sealing.canSeal) {
    throw credentialKeysMissing();
  }
  return { sealed: sealing.seal(Buffer.from(value), variableContext(key)), sealedBy: sealing.keyName };
}

/** Reads and decrypts variables of an environment; those that there are, and that a key decrypts. */
export async function readVariables(
  { variables, sealing }: { readonly variables: Pick<VariableStore, "find">; readonly sealing: Sealing },
  environmentId: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, ReadVariable>> {
  const found = await variables.find(environmentId, names);
  const read = new Map<string, ReadVariable>();
  for (const { name, value, sealed, hosts } of found) {
    if (value !== undefined) {
      read.set(name, { value, hosts: undefined });
      continue;
    }
    const opened = sealing.open(sealed, variableContext({ environmentId, name }));
    if (opened !== undefined) {
      read.set(name, { value: opened.toString(), hosts });
    }
  }
  return read;
}

export function variableContext({ environmentId, name }: VariableKey): string {
  return JSON.stringify(["variable", environmentId, name]);
}

export function credentialKeysMissing(): RequestError {
  return new RequestError(
    "ENCRYPTION_KEYS_MISSING",
    "Secrets have to be stored encrypted, and the service has no encryption key. Set FLOWCALL_ENCRYPTION_KEYS.",
  );
}
