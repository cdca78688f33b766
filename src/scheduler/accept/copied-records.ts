import type { NodeRun } from "../../domain/execution.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { ExecutionReader } from "../../storage/history/execution-reader.ts";
import type { MemoryBudget } from "../limits/memory-budget.ts";
import { writtenPerByte } from "../run/active-runs.ts";

export type CopiedRecordsOptions = {
  readonly reader: Pick<ExecutionReader, "sizeRecords" | "readRecords">;
  readonly memory: MemoryBudget;
  readonly limits: Pick<Limits, "recordsBytesMax">;
};

export type RecordsOrigin = {
  readonly id: string;
  readonly environmentId: string;
  readonly organizationId: string;
};

/**
 * Copies records of an ended execution for a new one, read in bounded parts. Throws RequestError: RECORDS_TOO_LARGE where
 * they are more than an execution may have, RECORDS_MEMORY_FULL where the memory budget has no room for them now.
 */
export async function copyRecords(
  { reader, memory, limits: { recordsBytesMax } }: CopiedRecordsOptions,
  origin: RecordsOrigin,
  keeps: (run: NodeRun) => boolean,
): Promise<readonly NodeRun[]> {
  const { bytes } = await reader.sizeRecords(origin);
  if (bytes > writtenPerByte * recordsBytesMax) {
    throw tooLarge(origin.id, recordsBytesMax);
  }
  if (!memory.hasRoom(origin.organizationId, bytes)) {
    throw memoryFull();
  }
  const held = memory.open(origin.organizationId);
  held.hold(bytes);
  try {
    const copied: NodeRun[] = [];
    for await (const runs of reader.readRecords(origin)) {
      copied.push(...runs.filter(keeps));
    }
    return copied;
  } finally {
    held.hold(0);
  }
}

function tooLarge(executionId: string, max: number): RequestError {
  return new RequestError(
    "RECORDS_TOO_LARGE",
    `The records of the execution are larger than the ${max} bytes that an execution may have (limit recordsBytesMax). ` +
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
