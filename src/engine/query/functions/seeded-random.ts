import { createHash } from "node:crypto";

/**
 * Makes a pseudorandom generator of numbers in [0, 1), which gives the same numbers for the same seed: a replay computes the same
 * again. The algorithm is sfc32 from PractRand (public domain), seeded by SHA-256. It is not for secrets.
 */
export function createSeededRandom(seed: string): () => number {
  let [a, b, c, counter] = seedWords(seed);
  return () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
}

/** The state of sfc32 for a seed: four 32-bit integers. */
export function seedWords(seed: string): FourNumbers {
  const digest = createHash("sha256").update(seed).digest();
  return [digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8), digest.readInt32LE(12)];
}

type FourNumbers = [number, number, number, number];
