import assert from "node:assert/strict";
import type { Clients } from "./clients.ts";
import { checkLedger, type Query } from "./ledger.ts";

/** What holds whatever happened to the database, when all has ended: no reply lies, and what was accepted ended once. */
export async function checkReplies(query: Query, clients: Clients): Promise<number> {
  const refused = clients.replies.filter(({ status }) => status === 503);
  const others = clients.replies.filter(({ status }) => status !== 200 && status !== 503);
  assert.deepEqual(others, []);
  const lies = refused.filter(({ id, retryAfter }) => id !== undefined || retryAfter === null);
  assert.deepEqual(lies, [], "a refusal says when to try again, and names no execution");
  const otherReasons = refused.filter(({ body }) => JSON.parse(body).error_code !== "DATABASE_UNAVAILABLE");
  assert.deepEqual(otherReasons, []);
  const states = await checkLedger(query, clients.ids);
  const notCompleted = [...states].filter(([, state]) => state !== "COMPLETED");
  assert.deepEqual(notCompleted, []);
  const ambiguous = [...clients.idsByKey].filter(([, ids]) => ids.size !== 1);
  assert.deepEqual(ambiguous, [], "each key stands for one execution");
  const { rows } = await query(
    "select count(*)::int as count from execution join idempotency_key on execution_id = id",
  );
  assert.deepEqual(rows, [{ count: clients.idsByKey.size }]);
  return states.size;
}
