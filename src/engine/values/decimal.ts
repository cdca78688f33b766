/**
 * An exact decimal number with any number of digits: `±0.d₁d₂d₃… × 10^magnitude`, where the first digit is not 0. Zero has no
 * digits.
 */
export type Decimal = { readonly sign: 1 | -1; readonly digits: string; readonly magnitude: number };

/**
 * Parses a number in JSON's syntax. Gives undefined for other texts: `007`, `+7`, `7.` and blanks, because a text with a leading
 * zero is an identifier. The exponent has nine digits at most, which keeps the arithmetic exact.
 */
export function parseDecimal(text: string): Decimal | undefined {
  const match = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d{1,9}))?$/.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, sign, whole = "", fraction = "", exponent = "0"] = match;
  const all = whole + fraction;
  const start = all.search(/[1-9]/);
  if (start < 0) {
    return { sign: 1, digits: "", magnitude: 0 };
  }
  let end = all.length;
  while (all[end - 1] === "0") {
    end -= 1;
  }
  return {
    sign: sign === "-" ? -1 : 1,
    digits: all.slice(start, end),
    magnitude: whole.length - start + Number(exponent),
  };
}

/** Gives a negative number, zero or a positive number as `left` is less than, equal to or greater than `right`. */
export function compareDecimals(left: Decimal, right: Decimal): number {
  const leftSign = left.digits === "" ? 0 : left.sign;
  const rightSign = right.digits === "" ? 0 : right.sign;
  if (leftSign !== rightSign || leftSign === 0) {
    return leftSign - rightSign;
  }
  if (left.magnitude !== right.magnitude) {
    return leftSign * (left.magnitude - right.magnitude);
  }
  // Both have the same magnitude, so the digits compare like texts.
  if (left.digits === right.digits) {
    return 0;
  }
  return left.digits < right.digits ? -leftSign : leftSign;
}

/**
 * Tells whether a finite number is a multiple of another one that is not zero. It is exact, where doubles are not: 0.0075
 * is a multiple of 0.0001.
 */
export function isMultipleOf(value: number, divisor: number): boolean {
  const [left, right] = [parseDecimal(String(value)), parseDecimal(String(divisor))];
  if (left === undefined || right === undefined) {
    return false;
  }
  const exponent = Math.min(exponentOf(left), exponentOf(right));
  const whole = (decimal: Decimal) => BigInt(decimal.digits) * 10n ** BigInt(exponentOf(decimal) - exponent);
  return whole(left) % whole(right) === 0n;
}

/** The power of ten that the last digit counts. */
function exponentOf({ digits, magnitude }: Decimal): number {
  return magnitude - digits.length;
}
