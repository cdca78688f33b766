import { expect, test } from "vitest";
import { systemClock } from "../../src/domain/clock.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import { Tarpit } from "../../src/server/admission/tarpit.ts";

const badKey = new RequestError("INVALID_API_KEY", "bad");
const tooMany = new RequestError("TOO_MANY_REQUESTS", "too many", { metadata: { limit: "key_lookups", value: "1" } });

/** One that tells two refusals a second at once, with a clock to move and the waits that it was asked for. */
function open() {
  const world = { time: 1_000_000, waits: 0 };
  const wakers: (() => void)[] = [];
  const pace = new Tarpit(
    { refusedKeysPerAddressMax: 2, refusedKeyMs: 2_000 },
    {
      now: () => world.time,
      monotonic: () => world.time,
      after: systemClock.after,
      wait: (ms, signal) => {
        expect(ms).toBe(2_000);
        world.waits += 1;
        return new Promise((resolve, reject) => {
          wakers.push(resolve);
          signal?.addEventListener("abort", () => reject(signal.reason));
        });
      },
    },
  );
  const wait = (error: unknown, address = "192.0.2.1", signal = new AbortController().signal) =>
    pace.wait(error, { address, signal });
  return { world, wait, wake: () => wakers.shift()?.() };
}

test("who sends bad keys without end waits for their refusals, and nobody else does", async () => {
  const { world, wait, wake } = open();
  await wait(badKey);
  await wait(tooMany);
  const third = wait(badKey);
  expect(world.waits).toBe(1);
  await wait(badKey, "192.0.2.2");
  // What a good key is refused for is told at once.
  await wait(new RequestError("SCOPE_MISSING", "scope"));
  await wait(new RequestError("TOO_MANY_REQUESTS", "rate", { metadata: { limit: "key_requests", value: "1" } }));
  await wait(new Error("a fault of ours"));
  expect(world.waits).toBe(1);
  wake();
  await third;
  world.time += 1_000;
  await wait(badKey);
  expect(world.waits).toBe(1);
});

test("a refusal that nobody waits for any more holds nothing", async () => {
  const { wait } = open();
  await wait(badKey);
  await wait(badKey);
  const gone = new AbortController();
  const third = wait(badKey, "192.0.2.1", gone.signal);
  gone.abort();
  await third;
});
