import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import { KeyChecksums, newKeySecret } from "../../src/domain/keys/key-checksum.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Authenticator } from "../../src/server/authentication/authenticator.ts";

const key = "tk_0123456789abcdef";

const principal: Principal = {
  organizationId: "organization",
  environmentId: "environment",
  environment: "test",
  keyId: "key",
  scopes: [],
};

const secret = newKeySecret();
const checksums = new KeyChecksums(() => [secret]);
const limits = { keyLookUpsPerAddressMax: 1_000_000, keyLookUpsWaitingMax: 1_000_000 };

/** One that knows one key, with a clock to move and a count of the look-ups. */
function open({ known = key, ...changed }: Partial<typeof limits> & { readonly known?: string } = {}) {
  const world = { time: 1_000_000, setMs: 0, lookUps: 0, unsigned: 0, isKnown: true, isBroken: false, validMs: 60_000 };
  /** What waits for a look-up to be answered, where there is such a gate. */
  const gates: Promise<void>[] = [];
  /** Lets a watch look again. */
  let tick: () => void = () => undefined;
  const find = async (hash: string) => {
    world.lookUps += 1;
    const { isKnown } = world;
    await gates.shift();
    if (world.isBroken) {
      throw new Error("no database");
    }
    const isFound = isKnown && hash === createHash("sha256").update(known).digest("hex");
    return isFound ? { principal, validMs: world.validMs } : undefined;
  };
  const authenticator = new Authenticator({
    clock: {
      now: () => world.time + world.setMs,
      monotonic: () => world.time,
      after: systemClock.after,
      wait: (ms, signal) =>
        new Promise((resolve, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
          tick = () => {
            world.time += ms;
            resolve();
          };
        }),
    },
    originOf: (text) => checksums.originOf(text),
    find,
    findUnsigned: async (hash) => {
      world.unsigned += 1;
      return await find(hash);
    },
    findByName: async ({ keyId }) => await find(createHash("sha256").update(keyId).digest("hex")),
    limits: { ...limits, ...changed },
  });
  const authenticate = async (text: string, address = "192.0.2.1") => await authenticator.authenticate(text, address);
  return { world, authenticator, authenticate, gates, tick: () => tick() };
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

test("a key that says it was made here and was not is refused without a look-up, and so are 4,000 of them", async () => {
  const good = checksums.newKey("test");
  const { world, authenticate } = open({ known: good });
  const place = good.length - 8;
  for (let count = 0; count < 4_000; count += 1) {
    const guess = `${good.slice(0, place)}${String(count).padStart(8, "0")}`;
    expect(await authenticate(guess)).toBeUndefined();
  }
  expect(world.lookUps).toBe(0);
  expect(await authenticate(good)).toBe(principal);
  expect(world).toMatchObject({ lookUps: 1, unsigned: 0 });
});

test("keys that anybody may have made up are looked up apart, and counted for their address alone", async () => {
  const { world, authenticate } = open({ keyLookUpsPerAddressMax: 3 });
  const guess = (index: number) => `tk_0123456789abcdef${index}`;
  for (let index = 0; index < 3; index += 1) {
    expect(await authenticate(guess(index))).toBeUndefined();
  }
  await expect(authenticate(guess(3))).rejects.toMatchObject({
    reason: "TOO_MANY_REQUESTS",
    message: expect.stringContaining("3 unknown API keys a second"),
    details: { metadata: { limit: "key_lookups", value: "3" }, retryAfterSeconds: 1 },
  });
  expect(world).toMatchObject({ lookUps: 3, unsigned: 3 });
  expect(await authenticate(guess(2)), "what was answered lately costs nothing").toBeUndefined();
  expect(await authenticate(key, "192.0.2.2"), "from another address").toBe(principal);
  world.time += 1_000;
  expect(await authenticate(guess(3)), "a second later").toBeUndefined();
});

test("a key that was good is asked for apart from the guesses, however many of them come from its address", async () => {
  const { world, authenticator, authenticate } = open({ keyLookUpsPerAddressMax: 1 });
  expect(await authenticate(key)).toBe(principal);
  await expect(authenticate("tk_0123456789abcdef0")).rejects.toMatchObject({ reason: "TOO_MANY_REQUESTS" });
  world.time += 5_000;
  expect(await authenticate("tk_0123456789abcdef1")).toBeUndefined();
  expect(await authenticate(key)).toBe(principal);
  authenticator.invalidate();
  expect(await authenticate(key)).toBe(principal);
  expect(world).toMatchObject({ lookUps: 4, unsigned: 2 });
});

test("no more guesses wait at a time than may, whatever they come from", async () => {
  const { authenticate, gates } = open({ keyLookUpsWaitingMax: 2 });
  const gate = Promise.withResolvers<void>();
  gates.push(gate.promise, gate.promise);
  const waiting = [
    authenticate("tk_0123456789abcdef0", "192.0.2.1"),
    authenticate("tk_0123456789abcdef1", "192.0.2.2"),
  ];
  await expect(authenticate("tk_0123456789abcdef2", "192.0.2.3")).rejects.toMatchObject({
    reason: "KEY_LOOKUPS_FULL",
    details: { metadata: { limit: "key_lookups_waiting", value: "2" }, retryAfterSeconds: 1 },
  });
  gate.resolve();
  expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
  expect(await authenticate("tk_0123456789abcdef3", "192.0.2.3")).toBeUndefined();
});

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

test.each([-3_600_000, -799, 3_600_000])("a clock that is set by %i ms keeps no answer alive", async (setMs) => {
  const { world, authenticate } = open();
  world.validMs = 800;
  await authenticate(key);
  world.time += 800;
  world.setMs = setMs;
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

test("a key that is told to have changed is looked up again, and no other one", async () => {
  const { world, authenticator, authenticate } = open();
  await authenticate(key);
  authenticator.invalidate(["another"]);
  await authenticate(key);
  expect(world.lookUps).toBe(1);
  world.isKnown = false;
  authenticator.invalidate([principal.keyId]);
  expect(await authenticate(key)).toBeUndefined();
  world.isKnown = true;
  world.time += 5_000;
  await authenticate(key);
  world.isKnown = false;
  authenticator.invalidate();
  expect(await authenticate(key)).toBeUndefined();
});

test("what was read before a key changed is neither kept nor told to calls that come after", async () => {
  const { world, authenticator, authenticate, gates } = open();
  const gate = Promise.withResolvers<void>();
  gates.push(gate.promise);
  const early = authenticate(key);
  world.isKnown = false;
  authenticator.invalidate([principal.keyId]);
  expect(await authenticate(key)).toBeUndefined();
  gate.resolve();
  await early;
  expect(await authenticate(key)).toBeUndefined();
});

test("whoever holds a stream open is told of the end of the key at once where a hint came, else within five seconds", async () => {
  const never = new AbortController().signal;
  const { world, authenticator, authenticate, tick } = open();
  await authenticate(key);
  const hinted = authenticator.untilEnded(key, never);
  world.isKnown = false;
  authenticator.invalidate([principal.keyId]);
  await hinted;

  world.isKnown = true;
  world.time += 5_000;
  await authenticate(key);
  const startTime = world.time;
  const unhinted = authenticator.untilEnded(key, never).then(() => true);
  world.isKnown = false;
  for (let isOver = false; !isOver; ) {
    tick();
    isOver = await Promise.race([unhinted, setImmediate(false)]);
  }
  expect(world.time - startTime).toBeLessThan(5_000);
});

test("while the database is away a stream stays, and ends when its reader goes", async () => {
  const { world, authenticator, authenticate, tick } = open();
  await authenticate(key);
  world.isBroken = true;
  const reader = new AbortController();
  const watch = authenticator.untilEnded(key, reader.signal).then(
    () => "ended",
    () => "gone",
  );
  for (let turns = 0; turns < 10; turns += 1) {
    tick();
    expect(await Promise.race([watch, setImmediate("open")])).toBe("open");
  }
  expect(world.lookUps).toBeGreaterThan(5);
  reader.abort();
  expect(await watch).toBe("gone");
});
