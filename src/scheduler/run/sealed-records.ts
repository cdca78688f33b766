import type { JsonValue } from "@bufbuild/protobuf";
import type { NewExecution, NodeRun } from "../../domain/execution.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import { shownError } from "../../engine/errors/shown-error.ts";
import type { Begin } from "../../storage/executions/begin-execution.ts";
import type { Flush } from "../../storage/executions/flush.ts";
import { decrypt, encrypt } from "../encryption/aes-gcm.ts";
import type { DataKey, Sealing } from "../encryption/sealing.ts";

/**
 * Encrypts what a node run hides, for the journal of an execution that has not ended. A replay needs it in clear, while
 * nobody who reads the database may see it.
 */
export function sealRun(run: NodeRun, { key }: DataKey): NodeRun {
  if (run.is_hidden !== true) {
    return run;
  }
  const { output, error } = run;
  return {
    ...redactRun(run),
    sealed: encrypt(Buffer.from(JSON.stringify({ output, message: error?.message, body: error?.body })), key, run.path),
  };
}

export type SealBegin = {
  readonly execution: NewExecution;
  readonly flushes: readonly Flush[];
  readonly hidesNodes: boolean;
  readonly sealing: Sealing;
};

/** Makes the data key of an execution that hides something, and seals the records that its journal begins with. */
export function sealBegin({ execution, flushes, hidesNodes, sealing }: SealBegin): SealedBegin {
  if (!hidesNodes) {
    return { dataKey: undefined, flushes };
  }
  const dataKey = sealing.createDataKey(execution.id);
  const sealed = flushes.map(({ index, runs }) => ({ index, runs: runs.map((run) => sealRun(run, dataKey)) }));
  return { dataKey, flushes: sealed, sealKey: dataKey.wrapped, sealedBy: sealing.keyName };
}

type SealedBegin = Pick<Begin, "flushes" | "sealKey" | "sealedBy"> & { readonly dataKey: DataKey | undefined };

/** The inverse of `sealRun`. */
export function openRun(run: NodeRun, { key }: DataKey): NodeRun {
  const { sealed, ...open } = run;
  if (sealed === undefined) {
    return run;
  }
  // Written by sealRun.
  const hidden = JSON.parse(decrypt(sealed, key, run.path).toString()) as Sealed;
  const { output, message, body } = hidden;
  return {
    ...open,
    ...(output !== undefined && { output }),
    ...(open.error !== undefined &&
      message !== undefined && {
        error: { ...open.error, message, ...(body !== undefined && { body }) },
      }),
  };
}

type Sealed = { readonly output?: JsonText; readonly message?: string; readonly body?: JsonValue };

/** Removes what a node run hides, for the journal of an execution that has ended. */
export function redactRun(run: NodeRun): NodeRun {
  if (run.is_hidden !== true) {
    return run;
  }
  const { output, error, ...shown } = run;
  return { ...shown, ...(error && { error: shownError(error, { isHidden: true, encryptedFields: [] }) }) };
}
