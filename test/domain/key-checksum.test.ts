import { expect, test } from "vitest";
import { KeyChecksums, newKeySecret } from "../../src/domain/keys/key-checksum.ts";

const secret = newKeySecret();
const checksums = new KeyChecksums(() => [secret]);

test("a key is visible ASCII of one length, and begins with its environment", () => {
  for (let count = 0; count < 100; count += 1) {
    expect(checksums.newKey("test")).toMatch(/^tk[A-Za-z0-9_-]{40}$/);
    expect(checksums.newKey("production")).toMatch(/^pk[A-Za-z0-9_-]{40}$/);
  }
});

test("no character of a key can be changed, nor its environment", () => {
  const key = checksums.newKey("test");
  expect(checksums.originOf(key)).toBe("MADE");
  expect(checksums.originOf(key.replace(/^tk/, "pk"))).toBe("FORGED");
  for (let index = 2; index < key.length; index += 1) {
    const letter = key[index] === "A" ? "B" : "A";
    const changed = `${key.slice(0, index)}${letter}${key.slice(index + 1)}`;
    // Changed in the secret's id, it is another database's.
    expect([index, checksums.originOf(changed)]).toEqual([index, index >= 26 && index < 30 ? "UNSIGNED" : "FORGED"]);
  }
});

test.each([
  "tk00000000-0000-4000-8000-000000000001",
  "pk_given_by_an_operator",
  `${checksums.newKey("test")}A`,
  new KeyChecksums(() => [newKeySecret()]).newKey("test"),
])("a key that was given, or made before or elsewhere, says nothing of itself: %s", (key) => {
  expect(checksums.originOf(key)).toBe("UNSIGNED");
});

test("a second secret makes the keys from then on, and those of the first are known still", () => {
  const old = checksums.newKey("test");
  const next = newKeySecret();
  const rotated = new KeyChecksums(() => [next, secret]);
  expect(rotated.originOf(old)).toBe("MADE");
  expect(rotated.newKey("test").slice(26, 30)).toBe(next.id);
  expect(checksums.originOf(rotated.newKey("test")), "to a process that has not read it").toBe("UNSIGNED");
  expect(new KeyChecksums(() => [next]).originOf(old), "once the first is gone").toBe("UNSIGNED");
});
