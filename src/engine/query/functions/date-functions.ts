import jsonata from "jsonata";
import { epoch, existsAsRead, markers, offsetIn, readOffset } from "./date-picture.ts";
import { QueryError } from "./query-error.ts";
import { TimeZones } from "./time-zones.ts";

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** The range of JavaScript's Date. */
const millisMax = 8.64e15;

/** A date function of JSONata itself. It handles pictures correctly, except for time zones, and takes the time from its context. */
type OwnFunction = (
  this: { readonly environment: { readonly timestamp: Date } },
  ...args: readonly unknown[]
) => unknown;

/**
 * `$fromMillis`, `$toMillis` and `$now` with correct time zones. Those of JSONata 2.2.2 read `+05:00` as five minutes and the
 * name of a zone as NaN, lose the sign of minutes west of Greenwich, and read a time without a zone in the zone of the process.
 */
export class DateFunctions {
  #zonesMade: TimeZones | undefined;
  #own: Promise<readonly [from: OwnFunction, to: OwnFunction]> | undefined;

  /** @param zones a shared cache of zones; a query on the service's thread cannot name one */
  constructor(zones: TimeZones | undefined) {
    this.#zonesMade = zones;
  }

  get #zones(): TimeZones {
    this.#zonesMade ??= new TimeZones();
    return this.#zonesMade;
  }

  /** Synchronous without a picture, because such calls run on the service's thread. */
  format(millis: number, picture: string | undefined, zone: string | undefined): string | Promise<string> {
    if (!(Math.abs(millis) <= millisMax)) {
      throw new QueryError(`$fromMillis cannot write ${millis} as a date.`);
    }
    const offset = zone === undefined ? 0 : this.#zones.offsetAt(zone, millis);
    const local = millis + offset * minuteMs;
    return picture === undefined ? isoText(local, offset) : this.#formatPicture(picture, local, offset);
  }

  /** @param now the time from which a missing day or year is taken, in the given zone */
  parse(
    text: string,
    {
      picture,
      zone,
      now,
    }: { readonly picture: string | undefined; readonly zone: string | undefined; readonly now: number },
  ): number | undefined | Promise<number | undefined> {
    if (picture !== undefined) {
      return this.#parsePicture(text, { picture, zone, now });
    }
    const { millis, hasOffset } = parseIso(text);
    return hasOffset || zone === undefined ? millis : this.#zones.instantOf(zone, millis);
  }

  async #formatPicture(picture: string, local: number, offset: number): Promise<string> {
    const [fromMillis] = await this.#ownFunctions();
    const fraction = String(((Math.trunc(local) % 1000) + 1000) % 1000).padStart(3, "0");
    const prepared = picture.replace(markers, (marker: string) => {
      const [letter, ...rest] = marker.slice(1, -1).replaceAll(/\s/g, "");
      const presentation = rest.join("").replace(/,.*/s, "");
      if (marker.startsWith("[[")) {
        return marker;
      }
      if (letter === "Z" || letter === "z") {
        return offsetText(offset, letter, presentation);
      }
      return letter === "f" ? fractionText(fraction, presentation, marker) : marker;
    });
    return written(fromMillis, prepared, local);
  }

  async #parsePicture(
    text: string,
    { picture, zone, now }: { readonly picture: string; readonly zone: string | undefined; readonly now: number },
  ): Promise<number | undefined> {
    const [fromMillis, toMillis] = await this.#ownFunctions();
    const write = (by: string, at: number) => written(fromMillis, by, at);
    const reads = (source: string) => (by: string, since: number) => {
      const millis = toMillis.call({ environment: { timestamp: new Date(since) } }, source, by);
      return typeof millis === "number" ? millis : undefined;
    };
    const hasOffset = (picture.match(markers) ?? []).some((marker) => /^\[\s*[Zz]/.test(marker));
    const found = hasOffset ? (readOffset(picture, reads(text)) ?? epoch) : epoch;
    const offset = hasOffset ? offsetIn(text, found, (source) => readOffset(picture, reads(source))) : undefined;
    // JSONata adds the minutes of `-03:30` where it should subtract them.
    const lostMs = offset?.isWest === true ? 2 * offset.minutes * minuteMs : 0;
    const ahead = zone === undefined || hasOffset ? 0 : this.#zones.offsetAt(zone, now) * minuteMs;
    // The current day in the time zone of the text.
    const today = now + ahead + epoch - found - lostMs;
    const millis = reads(text)(picture, today);
    if (millis === undefined) {
      return undefined;
    }
    const isOffset = Math.abs(found - epoch) < dayMs && (offset?.minutes ?? 0) < 60;
    if (Number.isNaN(millis) || !isOffset || !existsAsRead(picture, millis, { text, reads, write })) {
      throw new QueryError(`$toMillis cannot read ${shown(text)} as a date.`);
    }
    return hasOffset || zone === undefined ? millis + lostMs : this.#zones.instantOf(zone, millis);
  }

  /** JSONata's own functions, which are read from it once. */
  #ownFunctions(): Promise<readonly [OwnFunction, OwnFunction]> {
    this.#own ??= Promise.all([ownOf("$fromMillis"), ownOf("$toMillis")]);
    return this.#own;
  }
}

async function ownOf(name: string): Promise<OwnFunction> {
  // JSONata represents a function as an object with an implementation.
  const found = (await jsonata(name).evaluate(null)) as { readonly implementation: OwnFunction };
  return found.implementation;
}

/** Formats an instant by a picture. JSONata gives a text or throws. */
function written(fromMillis: OwnFunction, picture: string, local: number): string {
  return fromMillis.call({ environment: { timestamp: new Date(local) } }, local, picture) as string;
}

function isoText(local: number, offset: number): string {
  const text = new Date(local).toJSON();
  // Other years have a sign and six digits, which `$toMillis` cannot read and ISO 8601 does not require.
  if (text?.length !== isoChars) {
    throw new QueryError("$fromMillis cannot write a year outside of 0 to 9999.");
  }
  return `${text.slice(0, -1)}${offset === 0 ? "Z" : offsetText(offset, "Z", "01:01")}`;
}

/** Formats an offset by the markers `[Z]` and `[z]` (XPath functions 3.1, section 9.8.4.6). */
function offsetText(offset: number, letter: "Z" | "z", presentation: string): string {
  const match = /^(?:(\d{1,4})|(\d+)(\D)(\d+))?(t?)$/.exec(presentation);
  if (match === null) {
    throw new QueryError(`[${letter}${presentation}] is not a format for an offset. Write [Z], [Z0101] or [Z01:01t].`);
  }
  const [, digits, first = "01", separator = ":", second = "01", isZ] = match;
  if (isZ === "t" && offset === 0) {
    return "Z";
  }
  const hours = String(Math.floor(Math.abs(offset) / 60));
  const minutes = String(Math.abs(offset) % 60);
  const sign = `${letter === "z" ? "GMT" : ""}${offset < 0 ? "-" : "+"}`;
  if (digits === undefined) {
    return sign + hours.padStart(first.length, "0") + separator + minutes.padStart(second.length, "0");
  }
  if (digits.length > 2) {
    return sign + hours.padStart(digits.length - 2, "0") + minutes.padStart(2, "0");
  }
  return sign + hours.padStart(digits.length, "0") + (minutes === "0" ? "" : `:${minutes.padStart(2, "0")}`);
}

/** `[f001]` gives as many digits as the marker has, `[f]` and `[f1]` as many as the fraction has. */
function fractionText(fraction: string, presentation: string, marker: string): string {
  if (!/^\d*$/.test(presentation)) {
    return marker;
  }
  if (presentation.length < 2) {
    return fraction.replace(/0{1,2}$/, "");
  }
  return fraction.slice(0, presentation.length).padEnd(Math.min(presentation.length, 9), "0");
}

const isoChars = "0000-01-01T00:00:00.000Z".length;

const isoPattern =
  /^(\d{4})(-[01]\d)?(-[0-3]\d)?(T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)?(\.\d+)?(?:([+-][0-2]\d):?([0-5]\d)|(Z))?$/;

/** Parses what JSONata accepts as a date of ISO 8601. A time without an offset is in UTC, as in all parsing without a picture. */
function parseIso(text: string): { readonly millis: number; readonly hasOffset: boolean } {
  const match = isoPattern.exec(text);
  const [, year = "", month = "", day = "", time = "", fraction = "", hours, minutes, isZ] = match ?? [];
  const hasOffset = hours !== undefined || isZ !== undefined;
  const offset = hours === undefined ? "Z" : `${hours}:${minutes}`;
  const date = year + month + day;
  // Date would take a day that does not exist for one of the next month.
  const isDate = new Date(`${date}T00:00:00Z`).toJSON()?.startsWith(date) === true;
  const isTimed = time !== "" || (fraction === "" && !hasOffset);
  const millis = Date.parse(time === "" ? date : `${date}${time}${fraction}${offset}`);
  // JSONata adds the message to this code.
  if (!isDate || !isTimed || Number.isNaN(millis)) {
    throw { code: "D3110", value: text, stack: new Error().stack };
  }
  return { millis, hasOffset };
}

function shown(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
