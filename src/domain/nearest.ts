// Says what a mistyped name was likely meant to be.

const nearestMax = 3;

/** What is longer is not compared, nor more than so many: who is refused must not make the refusal costly. */
const lettersMax = 64;
const namesMax = 1_000;

/** The words that somebody may have meant, the likeliest first; empty where none is like it. */
export function nearest(word: string, known: readonly string[]): readonly string[] {
  if (word.length > lettersMax) return [];
  const lower = word.toLowerCase();
  const likely: { readonly name: string; readonly distance: number }[] = [];
  for (const name of known.slice(0, namesMax)) {
    if (name.length > lettersMax) continue;
    const shorter = Math.min(word.length, name.length);
    const distanceMax = Math.max(2, shorter / 3);
    const distance = distanceOf(lower, name.toLowerCase(), distanceMax);
    // Where every letter is another one, it is no slip of the hand.
    if (distance < shorter && distance <= distanceMax) likely.push({ name, distance });
  }
  return likely
    .sort((one, other) => one.distance - other.distance)
    .slice(0, nearestMax)
    .map(({ name }) => name);
}

/** `did you mean a, b?` with a blank before it, or nothing. */
export function meant(word: string, known: readonly string[]): string {
  const names = nearest(word, known);
  return names.length === 0 ? "" : ` Did you mean ${names.join(", ")}?`;
}

/** Levenshtein's: how many letters to insert, drop or replace. A word inside of the other is near it. */
function distanceOf(word: string, other: string, distanceMax: number): number {
  if (word.length > 2 && other.includes(word)) return 1;
  if (Math.abs(word.length - other.length) > distanceMax) return Number.POSITIVE_INFINITY;
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
