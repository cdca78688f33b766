/**
 * Searches for a text in others, in time linear in both.
 *
 * V8's `indexOf` is Boyer-Moore without the Galil rule, which an attacker can make quadratic: to search 256 KB for 128 KB took
 * half a minute. Where the product of the lengths is large, this uses the algorithm of Knuth, Morris and Pratt instead.
 */
export class TextSearch {
  readonly #wanted: string;
  #borders: Int32Array | undefined;

  constructor(wanted: string) {
    this.#wanted = wanted;
  }

  /** The first index from `from` on, or -1. */
  indexOf(text: string, from = 0): number {
    const wanted = this.#wanted;
    if (wanted.length <= shortMax || wanted.length * (text.length - from) <= productMax) {
      return text.indexOf(wanted, from);
    }
    this.#borders ??= bordersOf(wanted);
    let matched = 0;
    for (let position = from; position < text.length; position += 1) {
      const unit = text.charCodeAt(position);
      while (matched > 0 && unit !== wanted.charCodeAt(matched)) {
        matched = this.#borders[matched - 1] ?? 0;
      }
      if (unit === wanted.charCodeAt(matched)) {
        matched += 1;
      }
      if (matched === wanted.length) {
        return position + 1 - matched;
      }
    }
    return -1;
  }
}

/** For shorter texts the native search is linear, since it compares each position with few characters. */
const shortMax = 8;

/** The native search makes as many comparisons within a millisecond. */
const productMax = 1_000_000;

/** The failure function: for each prefix, the length of its longest proper border (a prefix that is also its suffix). */
function bordersOf(text: string): Int32Array {
  const borders = new Int32Array(text.length);
  let length = 0;
  for (let end = 1; end < text.length; end += 1) {
    const unit = text.charCodeAt(end);
    while (length > 0 && unit !== text.charCodeAt(length)) {
      length = borders[length - 1] ?? 0;
    }
    if (unit === text.charCodeAt(length)) {
      length += 1;
    }
    borders[end] = length;
  }
  return borders;
}
