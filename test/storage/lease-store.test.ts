import { expect, test } from "vitest";
import { openStores } from "./fixture.ts";

test("a lease is prolonged by its owner, and forgotten long after its end", async () => {
  const { leases, db, close } = await openStores();
  await leases.renew({ owner: "dead", ms: -3_700_000 });
  await leases.renew({ owner: "a", ms: -3_700_000 });
  await leases.renew({ owner: "a", ms: 60_000 });
  const rows = await db.selectFrom("lease").selectAll().execute();
  expect(rows.map(({ owner }) => owner)).toEqual(["a"]);
  expect(rows[0]?.expire_time.getTime()).toBeGreaterThan(Date.now() + 30_000);
  await leases.drop("a");
  expect(await db.selectFrom("lease").selectAll().execute()).toEqual([]);
  await close();
});
