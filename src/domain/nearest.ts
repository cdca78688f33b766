// Suggests known names for a mistyped one ("Did you mean …?"), by Levenshtein distance.

const nearestMax = 3;

/** Bounds of the comparison, so that a refused request cannot make its refusal expensive. */
const lettersMax = 64;
const namesMax = 1_000;

/** The known names that are similar to a word, the most similar first. */
export function nearest(word: string, known: readonly string[]): readonly string[] {
  if (word.length > lettersMax) {
    return [];
  }
  const lower = word.toLowerCase();
  const likely: { readonly name: string; readonly distance: number }[] = [];
  for (const name of known.slice(0, namesMax)) {
    if (name.length > lettersMax) {
      continue;
    }
    const shorter = Math.min(word.length, name.length);
    const distanceMax = Math.max(2, shorter / 3);
    const distance = distanceOf(lower, name.toLowerCase(), distanceMax);
    // A name in which every letter differs is not a typing error.
    if (distance < shorter && distance <= distanceMax) {
      likely.push({ name, distance });
    }
  }
  return likely
    .sort((one, other) => one.distance - other.distance)
    .slice(0, nearestMax)
    .map(({ name }) => name);
}

/** Answers ` Did you mean a, b?`, with a leading blank, or an empty text. */
export function didYouMean(word: string, known: readonly string[]): string {
  const names = nearest(word, known);
  return names.length === 0 ? "" : ` Did you mean ${names.join(", ")}?`;
}

/** The Levenshtein distance: insertions, deletions and replacements of letters. A word that is part of the other counts 1. */
function distanceOf(word: string, other: string, distanceMax: number): number {
  if (word.length > 2 && other.includes(word)) {
    return 1;
  }
  if (Math.abs(word.length - other.length) > distanceMax) {
    return Number.POSITIVE_INFINITY;
  }
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [line, letter] of [...word].entries()) {
    const next = [line + 1];
    for (const [column, otherLetter] of [...other].entries()) {
      const replaced = (row[column] ?? 0) + (letter === otherLetter ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
