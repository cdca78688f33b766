import { EventLoopYielder } from "../../src/domain/event-loop-yielder.ts";
import { defaultLimits, type Limits } from "../../src/domain/limits.ts";
import { Definitions } from "../../src/engine/definitions.ts";
import { ProcessPool } from "../../src/engine/pool/process-pool.ts";

/** Where runs are computed that belong to no service: a pool for each set of limits, shared by the files of a worker. */
export function computeOf(limits: Limits = defaultLimits) {
  const key = JSON.stringify(limits);
  const known = computes.get(key);
  if (known !== undefined) {
    return known;
  }
  const pool = new ProcessPool(limits);
  // Long, so that no test depends on how fast the machine is.
  const yielder = new EventLoopYielder({ sliceMs: 1_000 });
  const compute = { pool, yielder, definitions: new Definitions({ limits, pool, yielder }) };
  computes.set(key, compute);
  return compute;
}

type Compute = { readonly pool: ProcessPool; readonly yielder: EventLoopYielder; readonly definitions: Definitions };

const computes = new Map<string, Compute>();
