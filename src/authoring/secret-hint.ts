/** How long a secret must be for its end to give nothing away, and how many characters of the end are shown then. */
const hintedMin = 20;
const hintLength = 4;

/** How a secret ends; an empty text where that is not shown. */
export function hintOf(value: string): string {
  return value.length < hintedMin ? "" : value.slice(-hintLength);
}
