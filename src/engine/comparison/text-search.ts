/**
 * Finds a text in others, in time linear in both.
 *
 * `indexOf` of V8 is quadratic for texts that somebody has chosen (Boyer-Moore without Galil's rule): 256 KB searched for
 * 128 KB took half a minute. So where the product of the lengths is large this is Knuth, Morris and Pratt's algorithm.
 */
export class TextSearch {
  readonly #wanted: string;
  #borders: Int32Array | undefined;

  constructor(wanted: string) {
    this.#wanted = wanted;
  }

  /** The first place from `from` on, or -1. */
  indexOf(text: string, from = 0): number {
    const wanted = this.#wanted;
    if (wanted.length <= shortMax || wanted.length * (text.length - from) <= productMax) {
      return text.indexOf(wanted, from);
    }
    this.#borders ??= bordersOf(wanted);
    let matched = 0;
    for (let position = from; position < text.length; position += 1) {
      const unit = text.charCodeAt(position);
      while (matched > 0 && unit !== wanted.charCodeAt(matched)) matched = this.#borders[matched - 1] ?? 0;
      if (unit === wanted.charCodeAt(matched)) matched += 1;
      if (matched === wanted.length) return position + 1 - matched;
    }
    return -1;
  }
}

/** Native search compares each place of the text with at most so many characters. */
const shortMax = 8;

/** Comparisons that native search makes within a millisecond. */
const productMax = 1_000_000;

/** For each beginning of a text the length of the longest one that it also ends with. */
function bordersOf(text: string): Int32Array {
  const borders = new Int32Array(text.length);
  let length = 0;
  for (let end = 1; end < text.length; end += 1) {
    const unit = text.charCodeAt(end);
    while (length > 0 && unit !== text.charCodeAt(length)) length = borders[length - 1] ?? 0;
    if (unit === text.charCodeAt(length)) length += 1;
    borders[end] = length;
  }
  return borders;
}
