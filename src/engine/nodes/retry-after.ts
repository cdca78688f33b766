/**
 * Parses the `Retry-After` header into milliseconds, at most an hour. Gives 0 where it cannot be parsed (RFC 9110, sections
 * 10.2.3 and 5.6.7).
 *
 *     Retry-After   = HTTP-date / delay-seconds
 *     delay-seconds = 1*DIGIT
 *     HTTP-date     = IMF-fixdate / rfc850-date / asctime-date
 *     IMF-fixdate   = "Sun, 06 Nov 1994 08:49:37 GMT"
 *     rfc850-date   = "Sunday, 06-Nov-94 08:49:37 GMT"
 *     asctime-date  = "Sun Nov  6 08:49:37 1994"
 */
export function retryAfterMs(field: string, now: number): number {
  const text = field.slice(0, fieldCharsMax + 1).trim();
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : httpDate(text, now) - now;
  return ms > 0 ? Math.min(ms, retryAfterMsMax) : 0;
}

const retryAfterMsMax = 3_600_000;

/** No date is longer. More digits would only make a number larger, which is cut to an hour anyway. */
const fieldCharsMax = 64;

/** Parses an HTTP-date into milliseconds since 1970. Gives NaN for other texts. */
function httpDate(text: string, now: number): number {
  const { day, month, year, time } = forms.map((form) => form.exec(text)?.groups).find(Boolean) ?? {};
  const monthIndex = months.indexOf(month ?? "");
  if (day === undefined || year === undefined || time === undefined || monthIndex < 0) {
    return Number.NaN;
  }
  const [hours = Number.NaN, minutes = Number.NaN, seconds = Number.NaN] = time.split(":").map(Number);
  // A leap second is written as 60.
  if (hours > 23 || minutes > 59 || seconds > 60) {
    return Number.NaN;
  }
  const fullYear = year.length === 2 ? nearYear(Number(year), now) : Number(year);
  const midnight = new Date(0).setUTCFullYear(fullYear, monthIndex, Number(day));
  const isOfMonth = new Date(midnight).getUTCMonth() === monthIndex;
  return isOfMonth ? midnight + ((hours * 60 + minutes) * 60 + seconds) * 1000 : Number.NaN;
}

/** A year of two digits that would be more than 50 years ahead is in the past century (RFC 9110, section 5.6.7). */
function nearYear(digits: number, now: number): number {
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + digits;
  return year > thisYear + 50 ? year - 100 : year;
}

const forms: readonly RegExp[] = [
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
];

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
