import type { NodeRun } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { RecordMemory } from "../limits/memory-budget.ts";
import { writtenPerByte } from "../run/active-runs.ts";

export type KeptRecordsOptions = {
  readonly reader: Pick<ExecutionReader, "sizeRecords" | "readRecords">;
  readonly memory: RecordMemory;
  readonly limits: Pick<Limits, "recordsBytesMax">;
};

export type KeptRecordsOrigin = {
  readonly id: string;
  readonly environmentId: string;
  readonly organizationId: string;
};

/**
 * Reads what another execution is to take over of an ended one, a part at a time. Refuses with RECORDS_TOO_LARGE what is
 * more than an execution may have, and with RECORDS_MEMORY_FULL where there is no room for it now.
 */
export async function readKept(
  { reader, memory, limits: { recordsBytesMax } }: KeptRecordsOptions,
  origin: KeptRecordsOrigin,
  keeps: (run: NodeRun) => boolean,
): Promise<readonly NodeRun[]> {
  const { bytes } = await reader.sizeRecords(origin);
  if (bytes > writtenPerByte * recordsBytesMax) throw tooLarge(origin.id, recordsBytesMax);
  if (!memory.hasRoom(origin.organizationId, bytes)) throw memoryFull();
  const held = memory.open(origin.organizationId);
  held.hold(bytes);
  try {
    const kept: NodeRun[] = [];
    for await (const runs of reader.readRecords(origin)) kept.push(...runs.filter(keeps));
    return kept;
  } finally {
    held.hold(0);
  }
}

function tooLarge(executionId: string, max: number): RequestError {
  return new RequestError(
    "RECORDS_TOO_LARGE",
    `What is recorded of the execution is more than the ${max} bytes that an execution may have (limit recordsBytesMax). ` +
      "Run it again from its start.",
    { metadata: { execution_id: executionId, limit: "recordsBytesMax", value: String(max) } },
  );
}

function memoryFull(): RequestError {
  return new RequestError(
    "RECORDS_MEMORY_FULL",
    "This process holds as many records as it may at a time (limit recordsMemoryBytesMax). Try again later.",
    { metadata: { limit: "recordsMemoryBytesMax" }, retryAfterSeconds: 2 },
  );
}
