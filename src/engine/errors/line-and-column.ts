/** Describes an offset in a text for people: its line and its column, both from 1. */
export function lineAndColumnAt(text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}
