import { expect, test } from "vitest";
import { defaultLimits } from "../../src/domain/limits.ts";
import { VersionCache } from "../../src/scheduler/run/version-cache.ts";
import { echoDefinition } from "../support/flowcall.ts";
import { computeOf } from "../support/pool.ts";

/** A cache above what every workflow's versions are read from: one definition, padded to so many characters. */
function cacheOf({ chars, bytesMax }: { readonly chars: number; readonly bytesMax: number }) {
  const reads: number[] = [];
  const text = JSON.stringify(echoDefinition("1"));
  const cache = new VersionCache({
    versions: {
      load: async ({ version }) => {
        reads.push(version);
        return version > 0 ? text.padEnd(chars) : undefined;
      },
    },
    definitions: computeOf().definitions,
    limits: { ...defaultLimits, versionsBytesMax: bytesMax },
  });
  return { reads, get: (version: number) => cache.get({ organizationId: "o", environmentId: "e" }, "w", version) };
}

test("versions that take more memory than they may leave, the longest unused first", async () => {
  const { reads, get } = cacheOf({ chars: 1_000, bytesMax: 360_000 });
  for (const version of [1, 2, 3, 1, 4]) {
    await get(version);
  }
  expect(reads).toEqual([1, 2, 3, 4]);
  for (const version of [1, 3, 4]) {
    await get(version);
  }
  expect(reads).toEqual([1, 2, 3, 4]);
  await get(2);
  expect(reads).toEqual([1, 2, 3, 4, 2]);
});

test("a version that is larger than all may be is compiled once as long as no other one is used", async () => {
  const { reads, get } = cacheOf({ chars: 1_000, bytesMax: 1_000 });
  expect(await get(1)).toBe(await get(1));
  await get(2);
  await get(1);
  expect(reads).toEqual([1, 2, 1]);
});

test("a version that could not be read is read anew, and takes no memory", async () => {
  const { reads, get } = cacheOf({ chars: 1_000, bytesMax: 120_000 });
  await get(1);
  await expect(get(-1)).rejects.toThrow("is gone");
  await expect(get(-1)).rejects.toThrow("is gone");
  await get(1);
  expect(reads).toEqual([1, -1, -1]);
});
