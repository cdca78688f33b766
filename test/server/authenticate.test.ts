import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { Principal } from "../../src/domain/principal.ts";
import { createAuthenticate } from "../../src/server/authenticate.ts";

const key = "tk_0123456789abcdef";

const principal: Principal = {
  organizationId: "organization",
  environmentId: "environment",
  environment: "test",
  keyId: "key",
  scopes: [],
};

/** An `authenticate` that knows one key, with a clock to move and a count of the look-ups. */
function open() {
  const world = { time: 1_000_000, lookUps: 0, isKnown: true, isBroken: false, validMs: 60_000 };
  const authenticate = createAuthenticate({
    clock: { now: () => world.time, wait: () => Promise.reject(new Error("nothing here waits")) },
    find: async (hash) => {
      world.lookUps += 1;
      if (world.isBroken) {
        throw new Error("no database");
      }
      const isFound = world.isKnown && hash === createHash("sha256").update(key).digest("hex");
      return isFound ? { principal, validMs: world.validMs } : undefined;
    },
  });
  return { world, authenticate };
}

for (const malformed of [
  "",
  "tk",
  "tk_short",
  "xk_0123456789abcdef",
  `${key} `,
  `${key}ü`,
  ` ${key}`,
  `tk${"x".repeat(201)}`,
]) {
  test(`the text ${JSON.stringify(malformed).slice(0, 30)} is no key and asks no database`, async () => {
    const { world, authenticate } = open();
    expect(await authenticate(malformed)).toBeUndefined();
    expect(world.lookUps).toBe(0);
  });
}

test("an answer is kept for five seconds and no longer", async () => {
  const { world, authenticate } = open();
  expect(await authenticate(key)).toBe(principal);
  world.time += 4_999;
  world.isKnown = false;
  expect(await authenticate(key)).toBe(principal);
  world.time += 1;
  expect(await authenticate(key)).toBeUndefined();
  expect(world.lookUps).toBe(2);
});

test("a key that expires is refused from then on, whatever was kept of it", async () => {
  const { world, authenticate } = open();
  world.validMs = 800;
  expect(await authenticate(key)).toBe(principal);
  world.isKnown = false;
  world.time += 799;
  expect(await authenticate(key)).toBe(principal);
  world.time += 1;
  expect(await authenticate(key)).toBeUndefined();
});

test("a key that is not known is not looked up again for five seconds", async () => {
  const { world, authenticate } = open();
  world.isKnown = false;
  expect(await authenticate(key)).toBeUndefined();
  world.isKnown = true;
  expect(await authenticate(key)).toBeUndefined();
  world.time += 5_000;
  expect(await authenticate(key)).toBe(principal);
  expect(world.lookUps).toBe(2);
});

test("a clock that is set back keeps no answer alive", async () => {
  const { world, authenticate } = open();
  await authenticate(key);
  world.time -= 3_600_000;
  world.isKnown = false;
  expect(await authenticate(key)).toBeUndefined();
});

test("calls at a time with one key look it up once", async () => {
  const { world, authenticate } = open();
  const answers = await Promise.all([authenticate(key), authenticate(key), authenticate(key)]);
  expect(answers).toEqual([principal, principal, principal]);
  expect(world.lookUps).toBe(1);
});

test("a failed look-up is told to all who wait for it and is not kept", async () => {
  const { world, authenticate } = open();
  world.isBroken = true;
  const failed = await Promise.allSettled([authenticate(key), authenticate(key)]);
  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  world.isBroken = false;
  expect(await authenticate(key)).toBe(principal);
  expect(world.lookUps).toBe(2);
});

test("a flood of bad keys does not drive out a good one", async () => {
  const { world, authenticate } = open();
  await authenticate(key);
  for (let index = 0; index < 20_000; index += 1) {
    await authenticate(`tk_0123456789abcdef${index}`);
  }
  const { lookUps } = world;
  expect(await authenticate(key)).toBe(principal);
  expect(world.lookUps).toBe(lookUps);
});
