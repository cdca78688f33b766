const nearestMax = 3;

/** The words that somebody may have meant, the likeliest first; empty where none is like it. */
export function nearest(word: string, known: readonly string[]): readonly string[] {
  const lower = word.toLowerCase();
  return known
    .map((name) => ({ name, distance: distanceOf(lower, name.toLowerCase()) }))
    .filter(({ name, distance }) => {
      const shorter = Math.min(word.length, name.length);
      // Where every letter is another one, it is no slip of the hand.
      return distance < shorter && distance <= Math.max(2, shorter / 3);
    })
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
function distanceOf(word: string, other: string): number {
  if (word.length > 2 && other.includes(word)) return 1;
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
