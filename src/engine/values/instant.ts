import { isDay } from "../../domain/json/day.ts";

/** A point in time: whole seconds since 1970, and the digits of the fraction without trailing zeros. */
export type Instant = { readonly seconds: number; readonly fraction: string };

/** No date-time that anybody writes is longer. */
const charsMax = 64;

/** Parses a date-time of RFC 3339, which names its offset. Gives undefined for others, and for days that do not exist. */
export function parseInstant(text: string): Instant | undefined {
  if (text.length > charsMax) {
    return undefined;
  }
  const match =
    /^(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/.exec(
      text,
    );
  if (match === null) {
    return undefined;
  }
  const [, day = "", time, fraction = "", offset = ""] = match;
  if (!isDay(day)) {
    return undefined;
  }
  const seconds = Date.parse(`${day}T${time}${offset.toUpperCase()}`) / 1000;
  return { seconds, fraction: fraction.replace(/0+$/, "") };
}

/** Gives a negative number, zero or a positive number as `left` is before, equal to or after `right`. */
export function compareInstants(left: Instant, right: Instant): number {
  if (left.seconds !== right.seconds) {
    return left.seconds - right.seconds;
  }
  if (left.fraction === right.fraction) {
    return 0;
  }
  return left.fraction < right.fraction ? -1 : 1;
}
