/**
 * Whether a text matches a LIKE pattern, case aside: `%` stands for any text, `_` for one character. There is no escape.
 *
 * All places of the pattern that the text read so far can have reached are kept as bits of one number, and each
 * character moves them all at once: the time is linear in the text, and no pattern can make it explode. Nothing is like
 * a pattern of more than `patternMax` characters.
 */
export function matchesLike(text: string, pattern: string): boolean {
  if (pattern.length > patternMax) {
    return false;
  }
  const compiled = compileLike(pattern.toLowerCase());
  if (compiled.length <= wordBits) {
    return matchesWord(text, compiled);
  }
  const { literals, anyBits, loopBits, length } = compiled;
  let reached = 1n;
  for (const character of text.toLowerCase()) {
    const moved = reached & ((literals.get(character) ?? 0n) | anyBits);
    reached = (moved << 1n) | (reached & loopBits);
    if (reached === 0n) {
      return false;
    }
  }
  return reached >> BigInt(length) === 1n;
}

const patternMax = 1_000;

/** Patterns of so many characters fit into a small number, which is moved ten times as fast. */
export const wordBits = 30;

function matchesWord(text: string, { literals, anyBits, loopBits, length }: LikePattern): boolean {
  const words = new Map([...literals].map(([character, bits]) => [character, Number(bits)]));
  const [any, loop] = [Number(anyBits), Number(loopBits)];
  let reached = 1;
  for (const character of text.toLowerCase()) {
    reached = ((reached & ((words.get(character) ?? 0) | any)) << 1) | (reached & loop);
    if (reached === 0) {
      return false;
    }
  }
  return ((reached >> length) & 1) === 1;
}

type LikePattern = {
  /** For each character the places that it leads on from. */
  readonly literals: ReadonlyMap<string, bigint>;
  /** The places that any character leads on from. */
  readonly anyBits: bigint;
  /** The places that any character may stay at: those with a `%` before the next character. */
  readonly loopBits: bigint;
  readonly length: number;
};

function compileLike(pattern: string): LikePattern {
  const literals = new Map<string, bigint>();
  let anyBits = 0n;
  let loopBits = 0n;
  let length = 0;
  for (const character of pattern) {
    const bit = 1n << BigInt(length);
    if (character === "%") {
      loopBits |= bit;
      continue;
    }
    if (character === "_") {
      anyBits |= bit;
    } else {
      literals.set(character, (literals.get(character) ?? 0n) | bit);
    }
    length += 1;
  }
  return { literals, anyBits, loopBits, length };
}
