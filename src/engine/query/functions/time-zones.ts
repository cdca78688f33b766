import { QueryError } from "./query-error.ts";

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** The number of cached zones. One takes tens of kilobytes, and about a millisecond to make. */
const zonesMax = 20;

/** No name of a zone is longer. */
const nameMax = 64;

/** Offsets of time zones from UTC, with an LRU cache. Each child process has one. */
export class TimeZones {
  /** By name, in the order of their last use. */
  readonly #formats = new Map<string, Intl.DateTimeFormat>();

  /** The minutes by which a zone is ahead of UTC at an instant. Throws QueryError for an unknown zone. */
  offsetAt(zone: string, millis: number): number {
    const fixed = fixedOffset(zone);
    if (fixed !== undefined) {
      return fixed;
    }
    const parts = this.#formatOf(zone).formatToParts(millis);
    const name = parts.find(({ type }) => type === "timeZoneName")?.value ?? "";
    // Offsets of local mean time, before zones were introduced, have seconds, which ISO 8601 cannot express: they are cut.
    const [, sign, hours = 0, minutes = 0] = /^GMT(?:([+-])(\d+)(?::(\d+))?)?/.exec(name) ?? [];
    const offset = Number(hours) * 60 + Number(minutes);
    return sign === "-" ? -offset : offset;
  }

  /** The instant of a local time. The first of two in autumn; in the gap of spring, the offset from before it counts. */
  instantOf(zone: string, local: number): number {
    const offsets = [this.offsetAt(zone, local - dayMs), this.offsetAt(zone, local + dayMs)];
    const instants = offsets.map((offset) => local - offset * minuteMs);
    const matching = instants.find((instant) => instant + this.offsetAt(zone, instant) * minuteMs === local);
    return matching ?? instants[0] ?? local;
  }

  #formatOf(zone: string): Intl.DateTimeFormat {
    const format = this.#formats.get(zone) ?? makeFormat(zone);
    this.#formats.delete(zone);
    this.#formats.set(zone, format);
    const [leastRecentlyUsed] = this.#formats.keys();
    if (this.#formats.size > zonesMax && leastRecentlyUsed !== undefined) {
      this.#formats.delete(leastRecentlyUsed);
    }
    return format;
  }
}

function makeFormat(zone: string): Intl.DateTimeFormat {
  try {
    if (zone.length <= nameMax) {
      return new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" });
    }
  } catch {
    // The error below reports it.
  }
  const name = JSON.stringify(zone.slice(0, nameMax));
  throw new QueryError(`${name} is not a time zone. Write an offset as "+05:30", or a name as "Europe/Berlin".`);
}

/** The minutes of a fixed offset: `Z`, `UTC`, `+05:30`, `+0530`, `0530` or `+05`. Undefined for other texts. */
function fixedOffset(zone: string): number | undefined {
  if (zone === "Z" || zone === "UTC") {
    return 0;
  }
  const match = /^(?:([+-]?)(\d\d):?([0-5]\d)|([+-])(\d\d?))$/.exec(zone);
  const [, sign = match?.[4], hours = match?.[5], minutes = 0] = match ?? [];
  if (match === null || Number(hours) > 23) {
    return undefined;
  }
  const offset = Number(hours) * 60 + Number(minutes);
  return sign === "-" ? -offset : offset;
}
