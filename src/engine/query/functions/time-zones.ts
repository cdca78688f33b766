import { QueryError } from "./query-error.ts";

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** Zones whose rules are kept: one takes some tens of kilobytes and about a millisecond to make. */
const zonesMax = 20;

/** Longer than any name of a zone. */
const nameMax = 64;

/** Offsets from UTC of the zones that queries name. A child of the pool has one. */
export class TimeZones {
  /** By name, the one that was used last at the end. */
  readonly #formats = new Map<string, Intl.DateTimeFormat>();

  /** The minutes that a zone is ahead of UTC at an instant. Throws QueryError where there is no such zone. */
  offsetAt(zone: string, millis: number): number {
    const fixed = fixedOffset(zone);
    if (fixed !== undefined) return fixed;
    const parts = this.#formatOf(zone).formatToParts(millis);
    const name = parts.find(({ type }) => type === "timeZoneName")?.value ?? "";
    // Before the zone had a time of its own its offset had seconds, for which ISO 8601 has no room.
    const [, sign, hours = 0, minutes = 0] = /^GMT(?:([+-])(\d+)(?::(\d+))?)?/.exec(name) ?? [];
    const offset = Number(hours) * 60 + Number(minutes);
    return sign === "-" ? -offset : offset;
  }

  /** The instant at which clocks of a zone show a time: the first of two, and behind a gap as before it. */
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
    const [longestUnused] = this.#formats.keys();
    if (this.#formats.size > zonesMax && longestUnused !== undefined) this.#formats.delete(longestUnused);
    return format;
  }
}

function makeFormat(zone: string): Intl.DateTimeFormat {
  try {
    if (zone.length <= nameMax) return new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" });
  } catch {
    // Told below.
  }
  const told = JSON.stringify(zone.slice(0, nameMax));
  throw new QueryError(`${told} is no time zone. Write an offset as "+05:30", or a name as "Europe/Berlin".`);
}

/** Minutes of `Z`, `UTC`, `+05:30`, `+0530`, `0530` and `+05`; undefined for what is none. */
function fixedOffset(zone: string): number | undefined {
  if (zone === "Z" || zone === "UTC") return 0;
  const match = /^(?:([+-]?)(\d\d):?([0-5]\d)|([+-])(\d\d?))$/.exec(zone);
  const [, sign = match?.[4], hours = match?.[5], minutes = 0] = match ?? [];
  if (match === null || Number(hours) > 23) return undefined;
  const offset = Number(hours) * 60 + Number(minutes);
  return sign === "-" ? -offset : offset;
}
