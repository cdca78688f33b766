import assert from "node:assert/strict";

/** Asks the database whatever becomes of the service. */
export type Query = (statement: string) => Promise<{ readonly rows: readonly Record<string, unknown>[] }>;

/**
 * Lets the database itself keep the account of ends: each end of an execution in a table, and each try to change a row
 * that has ended in a sequence, which counts what is rolled back too.
 */
export async function openLedger(query: Query): Promise<void> {
  await query(`
    create table ledger (execution_id text, state text, epoch int);
    create sequence ledger_late;
    create function ledger_note() returns trigger language plpgsql as $$
      begin
        insert into ledger values (new.id, new.state, new.finished_epoch);
        return null;
      end $$;
    create function ledger_note_late() returns trigger language plpgsql as $$
      begin
        perform nextval('ledger_late');
        return new;
      end $$;
    create trigger ledger_insert after insert on execution for each row
      when (new.state is not null) execute function ledger_note();
    create trigger ledger_update after update on execution for each row
      when (new.state is not null) execute function ledger_note();
    -- The first in the order of names: the guard of final rows fires after it.
    create trigger a_ledger_late before update on execution for each row
      when (old.state is not null) execute function ledger_note_late();
  `);
}

/** Checks that all that was accepted has ended, and nothing twice. Answers the states by id. */
export async function checkLedger(query: Query, ids: Iterable<string>): Promise<ReadonlyMap<string, unknown>> {
  const { rows } = await query(`
    select execution.id, execution.state, execution.create_time, count(ledger.execution_id)::int as ends
      from execution left join ledger on ledger.execution_id = execution.id group by execution.id`);
  assert.deepEqual(
    rows.filter(({ ends }) => ends !== 1),
    [],
  );
  const states = new Map(rows.map(({ id, state }) => [String(id), state]));
  assert.deepEqual(
    [...ids].filter((id) => !states.has(id)),
    [],
  );
  const [late] = (await query("select is_called from ledger_late")).rows;
  assert.deepEqual({ ...late }, { is_called: false });
  return states;
}
