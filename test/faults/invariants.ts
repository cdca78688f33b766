import { AssertionError } from "node:assert/strict";
import type { FaultFigures } from "./fault-case.ts";
import type { Query } from "./ledger.ts";
import type { Load } from "./load.ts";
import type { Readers } from "./readers.ts";
import type { Sink } from "./sink.ts";

/** What is to hold whatever happens. */
const invariants = {
  I1: "every execution whose id was told exists, and ends",
  I2: "an execution ends once, and what it answered never changes",
  I3: "a node calls again only for an owner that was lost",
  I4: "no node calls again once its result is recorded",
  I5: "every call of one node has the same key",
  I6: "one key is one execution",
  I7: "who has read an end reads it again, at every process",
  I8: "what is unfinished has a claim, and nothing else has",
  I10: "connections and memory come back",
  I11: "who waits is told of the end",
  I12: "the faults happened, and the calls succeeded",
};

export type Invariant = keyof typeof invariants;

/** What did not hold, by invariant, with examples. */
export class Breach extends AssertionError {
  readonly invariants: readonly Invariant[];

  constructor(broken: ReadonlyMap<Invariant, readonly unknown[]>) {
    const lines = [...broken].map(
      ([invariant, examples]) =>
        `${invariant}, ${invariants[invariant]}: ${examples.length} times not, as ${JSON.stringify(examples.slice(0, 3)).slice(0, 600)}`,
    );
    super({ message: lines.join("\n") });
    this.invariants = [...broken.keys()];
  }
}

/** What was seen of a run from all sides, after all that was wrong has ended. */
export type Evidence = {
  readonly query: Query;
  readonly load: Load;
  readonly readers: Readers;
  readonly sink: Sink;
  /** The paths of the nodes of the workflow that call the sink, in their order. */
  readonly paths: readonly string[];
  /** How many faults there were, and were to be. */
  readonly faults: number;
  readonly plannedFaults: number;
  /** How many owners were lost, and how many executions each ran at the most. */
  readonly losses: number;
  readonly slots: number;
  /**
   * How many calls may be sent behind the record of their node. A process that is stopped between its last look at the
   * database and its request sends that when it goes on, whatever has become of the execution; the key is the same.
   */
  readonly lateCallsMax: number;
  /** Rows without a claim or claims without a row that were seen while it went on. */
  readonly orphans: readonly unknown[];
  /** What did not come back. */
  readonly leftOver: readonly string[];
};

type Row = { readonly id: string; readonly state: string | null; readonly epoch: number; readonly ends: number };

/** Holds the evidence against all invariants. Throws a Breach; answers what it measured. */
export async function checkInvariants(evidence: Evidence): Promise<FaultFigures> {
  const { query, load, readers, sink, paths, faults, plannedFaults, losses, slots } = evidence;
  const rows = await readRows(query);
  const told = [...new Set(load.ids)];
  const late = await countLate(query);
  const lost = told.filter((id) => rows.get(id)?.state == null);
  const ends = [...rows.values()].filter((row) => row.ends > 1);
  const changed = [...readers.ends].filter(([id, end]) => end !== resultOf(id, { sink, paths }));
  const expected = new Set(told.flatMap((id) => paths.map((path) => keyOf(id, path))));
  const excess = sink.total - sink.calls.size;
  const lateCalls = [...(await callsBehindRecord(query, sink)), ...callsBehindNext(sink, paths)];
  const completed = told.filter((id) => rows.get(id)?.state === "COMPLETED");

  const broken = new Map<Invariant, readonly unknown[]>();
  const none = (invariant: Invariant, examples: readonly unknown[]) => {
    if (examples.length > 0) {
      broken.set(invariant, [...(broken.get(invariant) ?? []), ...examples]);
    }
  };
  const holds = (invariant: Invariant, isSo: boolean, otherwise: string) => none(invariant, isSo ? [] : [otherwise]);

  none("I1", lost);
  none("I2", ends);
  holds("I2", late === 0, `${late} writes to an execution that had ended`);
  none("I2", changed);
  none("I3", callsBeyondOwners(sink, rows));
  // A call that a stopped owner was about to make is one too many as well.
  holds("I3", excess <= losses * slots + evidence.lateCallsMax, `${excess} calls more than one for each node`);
  none("I4", lateCalls.length > evidence.lateCallsMax ? lateCalls : []);
  none(
    "I5",
    [...sink.calls.keys()].filter((key) => !expected.has(key)),
  );
  none(
    "I5",
    completed.flatMap((id) => paths.map((path) => keyOf(id, path))).filter((key) => !sink.calls.has(key)),
  );
  none(
    "I6",
    [...load.idsByKey].filter(([, ids]) => ids.size !== 1).map(([key]) => key),
  );
  holds("I6", told.length === load.idsByKey.size, `${load.idsByKey.size} keys, and ${told.length} executions`);
  holds("I6", rows.size === load.idsByKey.size, `${load.idsByKey.size} keys, and ${rows.size} rows`);
  none("I7", readers.contradictions);
  none("I8", evidence.orphans);
  none("I8", await findOrphans(query));
  none("I10", evidence.leftOver);
  none("I12", load.wrong);
  holds("I12", faults > 0 && faults === plannedFaults, `${faults} faults, where ${plannedFaults} were planned`);
  holds("I12", told.length === load.calls, `${told.length} of ${load.calls} calls were accepted`);
  holds("I12", completed.length === told.length, `${completed.length} of ${told.length} executions completed`);
  holds("I12", readers.reads > 0, "nothing was read");
  if (broken.size > 0) {
    throw new Breach(broken);
  }

  const times = [...sink.calls.values()].map((calls) => calls.times.length);
  return {
    executions: told.length,
    lost: lost.length,
    doubleResults: ends.length + late,
    callsPerKeyMean: sink.total / sink.calls.size,
    callsPerKeyMax: Math.max(...times),
    lateCalls: lateCalls.length,
    retries: load.retries,
    reads: readers.reads,
  };
}

/** Executions without a claim that have not ended, and claims of none that goes on, in one snapshot. */
export async function findOrphans(query: Query): Promise<readonly unknown[]> {
  const { rows } = await query(`
    select coalesce(execution.id, execution_claim.execution_id) as id, execution.state
      from (select id, state from execution where state is null) as execution
      full join execution_claim on execution_claim.execution_id = execution.id
      where execution.id is null or execution_claim.execution_id is null`);
  return rows;
}

async function readRows(query: Query): Promise<ReadonlyMap<string, Row>> {
  const { rows } = await query(`
    select execution.id, execution.state, execution.finished_epoch as epoch, count(ledger.execution_id)::int as ends
      from execution left join ledger on ledger.execution_id = execution.id group by execution.id`);
  return new Map(
    rows.map(({ id, state, epoch, ends }) => [
      String(id),
      { id: String(id), state: state === null ? null : String(state), epoch: Number(epoch), ends: Number(ends) },
    ]),
  );
}

async function countLate(query: Query): Promise<number> {
  const [row] = (await query("select last_value::int as last, is_called from ledger_late")).rows;
  return row?.["is_called"] === true ? Number(row["last"]) : 0;
}

/** The key that the first call of a node has, and every repetition of it. */
function keyOf(id: string, path: string): string {
  return `${id}:${path}:0`;
}

/** What an execution answers: the values that the sink drew for its calls. */
function resultOf(id: string, { sink, paths }: Pick<Evidence, "sink" | "paths">): string {
  const response = paths.map((path) => sink.calls.get(keyOf(id, path))?.value ?? null);
  return JSON.stringify({ response, status: "COMPLETED" });
}

/** An epoch is an owner: each may call once. */
function callsBeyondOwners({ calls }: Sink, rows: ReadonlyMap<string, Row>): readonly unknown[] {
  return [...calls].flatMap(([key, { times }]) => {
    const [id = ""] = key.split(":");
    const owners = Math.max(1, rows.get(id)?.epoch ?? 1);
    return times.length > owners ? [{ key, calls: times.length, owners }] : [];
  });
}

/** Calls that came after the record of their node's result, by the journal's clock, which is this machine's. */
async function callsBehindRecord(query: Query, { calls }: Sink): Promise<readonly unknown[]> {
  const { rows } = await query(`
    select execution_id || ':' || (run ->> 'path') || ':0' as key, extract(epoch from min(create_time)) * 1000 as time
      from journal, jsonb_array_elements(entries::jsonb) as run where run ->> 'state' = 'SUCCESS' group by 1`);
  return rows.filter(({ key, time }) => (calls.get(String(key))?.times ?? []).some((sent) => sent > Number(time)));
}

/** Calls that came after one of a later node, which is sent only once the earlier result is recorded. */
function callsBehindNext({ calls }: Sink, paths: readonly string[]): readonly unknown[] {
  return [...calls].flatMap(([key, { times }]) => {
    const [id = "", path = ""] = key.split(":");
    const next = calls.get(keyOf(id, paths[paths.indexOf(path) + 1] ?? ""))?.times[0];
    return next !== undefined && times.some((time) => time > next) ? [{ key, times, next }] : [];
  });
}
