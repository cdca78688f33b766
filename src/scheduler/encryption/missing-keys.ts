import type { Logger } from "pino";
import type { ExecutionStore } from "../../storage/executions/execution-store.ts";
import type { ConnectionStore } from "../../storage/tenants/connection-store.ts";
import type { VariableStore } from "../../storage/tenants/variable-store.ts";
import { MissingKeyError, type Sealing } from "./sealing.ts";

export type MissingKeysOptions = {
  readonly connections: Pick<ConnectionStore, "listKeyNames">;
  readonly variables: Pick<VariableStore, "listKeyNames">;
  readonly executions: Pick<ExecutionStore, "listSealingKeys">;
  readonly sealing: Sealing;
  /** Whether the process starts all the same (FLOWCALL_MISSING_KEYS=accept). */
  readonly isAccepted: boolean;
  readonly log: Logger;
};

/**
 * Throws where the database holds something that no master key of this process decrypts. Otherwise the process would
 * start and look healthy, while credentials failed and executions stood still.
 */
export async function checkKeys({
  connections,
  variables,
  executions,
  sealing,
  isAccepted,
  log,
}: MissingKeysOptions): Promise<void> {
  const present = new Set(sealing.keyNames);
  const { names, unnamed } = await executions.listSealingKeys();
  const ofConnections = (await connections.listKeyNames()).filter((name) => !present.has(name));
  const ofVariables = (await variables.listKeyNames()).filter((name) => !present.has(name));
  const ofExecutions = names.filter((name) => !present.has(name));
  const isUnnamed = unnamed.some(({ executionId, sealKey }) => !canOpen(sealing, executionId, sealKey));
  const missing = [...new Set([...ofConnections, ...ofVariables, ...ofExecutions])].map((name) => `the key ${name}`);
  if (isUnnamed) {
    missing.push("a key without a name");
  }
  if (missing.length === 0) {
    return;
  }
  const what = [
    ...(ofConnections.length > 0 ? ["credentials of connections"] : []),
    ...(ofVariables.length > 0 ? ["variables"] : []),
    ...(ofExecutions.length > 0 || isUnnamed ? ["executions that have not ended"] : []),
  ].join(" and ");
  const message =
    `${what} are encrypted by ${missing.join(", ")}, which is not there (there: ${[...present].join(", ") || "none"}; a key is ` +
    "named by a fingerprint). Give it in FLOWCALL_ENCRYPTION_KEYS, behind the one that is to encrypt from now on, or put " +
    "the file encryption.key back. If it is lost, start with FLOWCALL_MISSING_KEYS=accept: such credentials have to be " +
    "entered again, and such executions wait until they are stopped or too old";
  if (!isAccepted) {
    throw new Error(message);
  }
  log.warn(message);
}

function canOpen(sealing: Sealing, executionId: string, sealKey: string): boolean {
  try {
    sealing.openDataKey(executionId, sealKey);
    return true;
  } catch (error) {
    if (!(error instanceof MissingKeyError)) {
      throw error;
    }
    return false;
  }
}
