import { isDay } from "../../domain/json/day.ts";

/** An instant: whole seconds since 1970, and the digits behind them without zeros at the end. */
export type Moment = { readonly seconds: number; readonly fraction: string };

/** Longer texts are no date-times that anybody writes. */
const charsMax = 64;

/** Reads a date-time of RFC 3339, which names its offset. Days that the calendar does not have are none. */
export function parseMoment(text: string): Moment | undefined {
  if (text.length > charsMax) return undefined;
  const match =
    /^(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/.exec(
      text,
    );
  if (match === null) return undefined;
  const [, day = "", time, fraction = "", offset = ""] = match;
  if (!isDay(day)) return undefined;
  const seconds = Date.parse(`${day}T${time}${offset.toUpperCase()}`) / 1000;
  return { seconds, fraction: fraction.replace(/0+$/, "") };
}

/** Negative, zero or positive as the left one is before, at or behind the right one. */
export function compareMoments(left: Moment, right: Moment): number {
  if (left.seconds !== right.seconds) return left.seconds - right.seconds;
  if (left.fraction === right.fraction) return 0;
  return left.fraction < right.fraction ? -1 : 1;
}
