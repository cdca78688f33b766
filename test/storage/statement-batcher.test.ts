import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NewExecution, Outcome } from "../../src/domain/execution.ts";
import { StatementBatcher } from "../../src/storage/postgres/statement-batcher.ts";
import { createTenant, json, nodeRun, openStores, type Stores, type Tenant } from "./fixture.ts";

const completed: Outcome = { state: "COMPLETED", response: json('{"a": "\\u0000 \\"quoted\\" {,}"}') };

describe("calls that share statements", () => {
  /** Statements that wait until they are let go of. */
  function openShared(limits = { rowsMax: 3, inFlightMax: 2 }) {
    const sent: { readonly items: readonly string[]; readonly answer: () => void }[] = [];
    const statement = new StatementBatcher<string, string>({
      name: "test",
      limits,
      send: async (items) => {
        await new Promise<void>((answer) => void sent.push({ items, answer }));
        if (items.includes("bad")) {
          throw new Error("this row cannot be kept");
        }
        if (items.includes("lost")) {
          throw Object.assign(new Error("gone"), { code: "ECONNRESET" });
        }
        return items.map((item) => item.toUpperCase());
      },
      turnOf: (item) => [item.includes(" of ") ? item.slice(item.indexOf(" of ")) : "none"],
      keyOf: (item) => (item.startsWith("key") ? item.slice(0, 5) : undefined),
      charsOf: (item) => item.length,
    });
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    return { statement, sent, turn };
  }

  test("wait for nobody, share what comes behind, and are answered each", async () => {
    const { statement, sent, turn } = openShared();
    const first = statement.call("a");
    await turn();
    const others = ["b", "c", "d", "e", "f"].map((item) => statement.call(item));
    await turn();
    await turn();
    expect(sent.map(({ items }) => items)).toEqual([["a"], ["b", "c", "d"]]);
    sent[0]?.answer();
    expect(await first).toBe("A");
    while (sent.length < 3) {
      await turn();
    }
    expect(sent[2]?.items).toEqual(["e", "f"]);
    for (const { answer } of sent) {
      answer();
    }
    expect(await Promise.all(others)).toEqual(["B", "C", "D", "E", "F"]);
  });

  test("do not fail by another's row", async () => {
    const { statement, sent, turn } = openShared({ rowsMax: 10, inFlightMax: 2 });
    const calls = ["a", "b", "bad", "c", "d"].map((item) => statement.call(item).catch(String));
    let answered = 0;
    const all = Promise.all(calls).then((results) => {
      answered = results.length;
      return results;
    });
    while (answered === 0) {
      for (const { answer } of sent) {
        answer();
      }
      await turn();
    }
    expect(await all).toEqual(["A", "B", "Error: this row cannot be kept", "C", "D"]);
  });

  test("fail together, and at once, where the database is away", async () => {
    const { statement, sent, turn } = openShared();
    const calls = ["a", "lost"].map((item) => statement.call(item).catch(String));
    await turn();
    sent[0]?.answer();
    expect(await Promise.all(calls)).toEqual(["Error: gone", "Error: gone"]);
    expect(sent).toHaveLength(1);
  });

  test("go apart where they have one key, and where they are large", async () => {
    const { statement, sent, turn } = openShared();
    const large = "x".repeat(1024 * 1024);
    const items = ["key 1", "key 1", "key 2", large, "after it"];
    const calls = items.map((item) => statement.call(item));
    for (let answered = 0; answered < 3; answered += 1) {
      while (sent[answered] === undefined) {
        await turn();
      }
      sent[answered]?.answer();
    }
    await Promise.all(calls);
    expect(sent.map(({ items: together }) => together.map((item) => item.slice(0, 9)))).toEqual([
      ["key 1", "key 2", "after it"],
      ["xxxxxxxxx"],
      ["key 1"],
    ]);
  });

  test("of one key go out in the order of their coming", async () => {
    const { statement, sent, turn } = openShared({ rowsMax: 3, inFlightMax: 1 });
    const items = ["key 1a", "key 1b", "key 1c", "key 2a", "key 2b", "b", "key 1d"];
    const calls = items.map((item) => statement.call(item));
    for (let answered = 0; answered < 4; answered += 1) {
      while (sent[answered] === undefined) {
        await turn();
      }
      sent[answered]?.answer();
    }
    await Promise.all(calls);
    expect(sent.map((statement) => statement.items)).toEqual([
      ["key 1a", "key 2a", "b"],
      ["key 1b", "key 2b"],
      ["key 1c"],
      ["key 1d"],
    ]);
  });

  describe("of several organisations", () => {
    const many = (count: number, text: string) => Array.from({ length: count }, (_, index) => `${text}${index} of a`);

    test("are in the next statement however much another has waiting, and at once where they have a part in none", async () => {
      const { statement, sent, turn } = openShared({ rowsMax: 4, inFlightMax: 2 });
      for (const item of many(100, "")) {
        void statement.call(item);
      }
      await turn();
      await turn();
      expect(sent).toHaveLength(2);
      void statement.call("1 of b");
      await turn();
      expect(sent[2]?.items).toEqual(["1 of b"]);
      // Its place is taken, and a third waits for a statement, not for all that came before.
      for (const item of ["2 of b", "1 of c"]) {
        void statement.call(item);
      }
      await turn();
      expect(sent).toHaveLength(3);
      sent[0]?.answer();
      while (sent.length < 4) {
        await turn();
      }
      expect(sent[3]?.items).toEqual(["1 of c"]);
      sent[1]?.answer();
      while (sent.length < 5) {
        await turn();
      }
      sent[2]?.answer();
      while (sent.length < 6) {
        await turn();
      }
      expect([4, 5].map((index) => sent[index]?.items.includes("2 of b"))).toEqual([false, true]);
    });

    test("have each their part of a statement's text, and what is left of it", async () => {
      const { statement, sent, turn } = openShared({ rowsMax: 100, inFlightMax: 1 });
      void statement.call("first of b");
      await turn();
      const large = "x".repeat(64 * 1024 - 8);
      for (const item of many(32, large)) {
        void statement.call(item);
      }
      const small = Array.from({ length: 20 }, (_, index) => `${index} of b`);
      for (const item of small) {
        void statement.call(item);
      }
      sent[0]?.answer();
      while (sent.length < 2) {
        await turn();
      }
      const [, both] = sent;
      expect(both?.items.filter((item) => item.endsWith("of b"))).toEqual(small);
      expect(both?.items.filter((item) => item.endsWith("of a"))).toHaveLength(16);
    });

    test("do not wait for the large calls of another", async () => {
      const { statement, sent, turn } = openShared({ rowsMax: 100, inFlightMax: 1 });
      const large = "x".repeat(128 * 1024);
      for (const item of ["first of b", ...many(2, large), "second of b"]) {
        void statement.call(item);
      }
      await turn();
      expect(sent.map(({ items }) => items.length)).toEqual([2, 2]);
      // The large ones are still in flight.
      sent[0]?.answer();
      const last = statement.call("third of b");
      while (sent.length < 3) {
        await turn();
      }
      sent[2]?.answer();
      expect(await last).toBe("THIRD OF B");
    });

    test("are sent again once where another's row cannot be kept", async () => {
      const { statement, sent, turn } = openShared({ rowsMax: 100, inFlightMax: 1 });
      const calls = ["1 of a", "bad", "3 of a", "1 of b"].map((item) => statement.call(item).catch(String));
      let answered = 0;
      const all = Promise.all(calls).then((results) => {
        answered = results.length;
        return results;
      });
      while (answered === 0) {
        for (const { answer } of sent) {
          answer();
        }
        await turn();
      }
      expect(await all).toEqual(["1 OF A", "Error: this row cannot be kept", "3 OF A", "1 OF B"]);
      expect(sent.filter(({ items }) => items.includes("1 of b"))).toHaveLength(2);
    });
  });
});

describe("executions that share statements", () => {
  let stores: Stores;
  let tenant: Tenant;
  const owner = "a";

  beforeAll(async () => {
    stores = await openStores();
    tenant = await createTenant(stores);
    await stores.leases.renew({ owner, ms: 60_000 });
  });

  afterAll(() => stores.close());

  const claimOf = ({ id, organizationId, environmentId }: NewExecution, epoch = 1) => ({
    organizationId,
    environmentId,
    executionId: id,
    owner,
    epoch,
  });

  test("are accepted, recorded and ended as if each were alone, beside rows that cannot be kept", async () => {
    const { executions, db } = stores;
    const good = Array.from({ length: 40 }, () => tenant.newExecution());
    const strange = { ...tenant.newExecution(), linkedAccountId: "nobody" };
    const begun = await Promise.allSettled(
      [...good, strange].map((execution, index) =>
        executions.begin(execution, {
          owner,
          ...(index % 2 === 0 && { idempotencyKey: { key: `key-${index}`, fingerprint: "f" } }),
          ...(index % 5 === 0 && { flushes: [{ index: 0, runs: [nodeRun("1")] }], sealKey: `seal ${index}` }),
        }),
      ),
    );
    expect(begun.slice(0, -1).every((end) => end.status === "fulfilled" && end.value === undefined)).toBe(true);
    expect(begun.at(-1)?.status).toBe("rejected");
    expect(await executions.getResult({ ...strange, executionId: strange.id })).toBeUndefined();

    const appended = await Promise.allSettled(
      good.map((execution, index) =>
        executions.append({
          ...claimOf(execution, index === 3 ? 2 : 1),
          flushIndex: 1,
          runs: [nodeRun(`2 of ${index}`)],
        }),
      ),
    );
    expect(appended.map((end) => end.status === "fulfilled" && end.value)).toEqual(good.map((_, index) => index !== 3));

    const ended = await Promise.allSettled(
      good.map((execution, index) => {
        const flush = { index: 2, runs: [nodeRun(`3 of ${index}`)] };
        const outcome: Outcome = { ...completed, ...(index === 7 && { response: json("\u0000") }) };
        return executions.finish({ ...claimOf(execution, index === 5 ? 9 : 1), outcome, flush });
      }),
    );
    expect(ended.map((end) => (end.status === "fulfilled" ? end.value : "refused"))).toEqual(
      good.map((_, index) => (index === 5 ? false : index === 7 ? "refused" : true)),
    );
    const open = await db.selectFrom("execution_claim").select("execution_id").execute();
    expect(open.map(({ execution_id }) => execution_id).toSorted()).toEqual([good[5]?.id, good[7]?.id].toSorted());
    const results = await Promise.all(
      good.map(({ id, ...execution }) => executions.getResult({ ...execution, executionId: id })),
    );
    expect(results).toEqual(good.map((_, index) => (index === 5 || index === 7 ? { state: "RUNNING" } : completed)));
    const [first] = good;
    const journal = await db
      .selectFrom("journal")
      .selectAll()
      .where("execution_id", "=", first?.id ?? "")
      .execute();
    expect(journal.map(({ flush_index, entries }) => [flush_index, JSON.parse(entries)[0].path])).toEqual([
      [0, "1"],
      [1, "2 of 0"],
      [2, "3 of 0"],
    ]);
  });

  test("are bound to one key each, however many race, and a repeat of a call that was committed says nothing new", async () => {
    const { executions } = stores;
    const racing = Array.from({ length: 60 }, (_, index) => ({
      execution: tenant.newExecution(),
      idempotencyKey: { key: `race-${index % 3}`, fingerprint: String(index) },
    }));
    const bound = await Promise.all(racing.map(({ execution, ...begin }) => executions.begin(execution, begin)));
    for (const kind of [0, 1, 2]) {
      const same = racing.flatMap(({ execution }, index) =>
        index % 3 === kind ? [{ execution, by: bound[index] }] : [],
      );
      const winners = same.filter(({ by }) => by === undefined);
      expect(winners).toHaveLength(1);
      const losers = same.filter(({ by }) => by !== undefined);
      expect(new Set(losers.map(({ by }) => by !== "changed" && by?.executionId))).toEqual(
        new Set([winners[0]?.execution.id]),
      );
    }
    const again = await Promise.all(racing.map(({ execution, ...begin }) => executions.begin(execution, begin)));
    expect(again).toEqual(bound);
    const found = await Promise.all(
      racing.map(({ execution, idempotencyKey }) => executions.findBound(execution, idempotencyKey.key)),
    );
    expect(new Set(found.map((by) => by?.executionId)).size).toBe(3);
  });

  test("that have ended unseen are kept once, however often that is said", async () => {
    const { executions, db } = stores;
    const ended = Array.from({ length: 30 }, () => tenant.newExecution());
    const record = () =>
      Promise.all(ended.map((execution) => executions.recordFinished(execution, completed, [nodeRun("1")])));
    await Promise.all([record(), record()]);
    await record();
    const ids = sql<string>`any(${ended.map(({ id }) => id)}::text[])`;
    expect(await db.selectFrom("execution").select("id").where("id", "=", ids).execute()).toHaveLength(30);
    expect(
      await db.selectFrom("journal").select("execution_id").where("execution_id", "=", ids).execute(),
    ).toHaveLength(30);
  });
});
