/** Parses a text by a picture, as JSONata does, into milliseconds since 1970. Missing parts are taken from `now`. */
type Read = (picture: string, now: number) => number | undefined;

/** Matches the markers of a picture, and the doubled brackets that stand for one bracket. */
export const markers = /\[\[|\[[^[\]]*\]/g;

/** The instant from which the parts are taken that a picture does not read. */
export const epoch = Date.UTC(2000, 0, 1);

/** Makes a parser for another text. */
type Reads = (text: string) => Read;

/** Formats an instant by a picture, as JSONata does. */
type Write = (picture: string, millis: number) => string;

/** The letters of numeric parts of dates and times. Years are not among them, since a text may have their last digits alone. */
const numbered = "MDdHhmsWwXxF";

/**
 * Whether a text names a day and a time that exist. JSONata rolls over where they do not: 31 February becomes 2 March, 25:00
 * becomes one o'clock of the next day, and an unknown month becomes January; and it ignores what it cannot read, such as the
 * number of a week. So this parses each number by itself, as a number of seconds, and compares it with the one that JSONata
 * formats for the result.
 *
 * @param millis the result of parsing by the whole picture
 */
export function existsAsRead(
  picture: string,
  millis: number,
  { text, reads, write }: { readonly text: string; readonly reads: Reads; readonly write: Write },
): boolean {
  const read = reads(text);
  const nothing = readOffset(picture, read);
  // The parts of this picture cannot be parsed one by one.
  if (nothing === undefined) {
    return true;
  }
  const local = new Date(millis + epoch - nothing);
  const alone = (letter: string, index: number) => pictureOf(picture, (_, at) => (at === index ? letter : "F"));
  return markersOf(picture).every(({ letter, isName }, index) => {
    if (letter === "P") {
      return isHalf(text, (source) => reads(source)(alone("P", index), epoch));
    }
    if (!numbered.includes(letter)) {
      return true;
    }
    if (isName) {
      return letter !== "M" || isMonth(local, monthReader({ picture, index, nothing, read }));
    }
    const number = read(alone("s", index), epoch);
    return number === undefined || (number - nothing) / 1_000 === Number(write(`[${letter}1]`, local.getTime()));
  });
}

/** Parses only the offset of a text, as an instant near the epoch. Undefined where it cannot be parsed by itself. */
export function readOffset(picture: string, read: Read): number | undefined {
  return read(
    pictureOf(picture, () => "F"),
    epoch,
  );
}

const otherHalves: ReadonlyMap<string, string> = new Map([
  ["am", "pm"],
  ["pm", "am"],
  ["AM", "PM"],
  ["PM", "AM"],
]);

/** Whether a text has am or pm where the picture reads it. JSONata takes anything else, such as `Pm`, for am. */
function isHalf(text: string, read: (source: string) => number | undefined): boolean {
  const found = read(text);
  return [...text.matchAll(/am|pm|AM|PM/g)].some(({ index, 0: half }) => {
    const swapped = otherHalves.get(half) ?? half;
    const other = read(text.slice(0, index) + swapped + text.slice(index + half.length));
    return other !== undefined && other !== found;
  });
}

/**
 * The offset in a text. It is the signed number whose change of sign moves the result by twice its hours.
 *
 * @param millis the result of parsing the unchanged text
 */
export function offsetIn(
  text: string,
  millis: number,
  read: (source: string) => number | undefined,
): { readonly isWest: boolean; readonly minutes: number } | undefined {
  for (const { index, 1: sign, 2: hours, 3: minutes = "0" } of text.matchAll(/([-+])(\d\d?)(?:\D?(\d\d))?(?!\d)/g)) {
    const isWest = sign === "-";
    const other = read(`${text.slice(0, index)}${isWest ? "+" : "-"}${text.slice(index + 1)}`);
    const twiceMs = 2 * Number(hours) * 3_600_000;
    if (other !== undefined && millis - other === (isWest ? twiceMs : -twiceMs)) {
      return { isWest, minutes: Number(minutes) };
    }
  }
  return undefined;
}

type Part = { readonly picture: string; readonly index: number; readonly nothing: number; readonly read: Read };

/** Makes a parser for the name of a month alone. It gives the month of `now` where the text has no such name. */
function monthReader({ picture, index, nothing, read }: Part): (now: number) => number {
  const alone = pictureOf(picture, (letter, at) => (at === index ? letter : "F"));
  return (now) => new Date((read(alone, now) ?? now) + epoch - nothing).getUTCMonth();
}

function isMonth(local: Date, monthOf: (now: number) => number): boolean {
  const month = local.getUTCMonth();
  return monthOf(Date.UTC(2000, (month + 1) % 12)) === month;
}

type Marker = { readonly letter: string; readonly presentation: string; readonly isName: boolean };

function markersOf(picture: string): readonly Marker[] {
  return [...picture.matchAll(markers)].map(([marker]) => markerOf(marker));
}

/** Parses a marker such as `[D01,2-2]`. Blanks do not count, and a marker without a form has the default form of its letter. */
function markerOf(marker: string): Marker {
  const [letter = "", ...rest] = marker.slice(1, -1).replaceAll(/\s/g, "");
  // JSONata reads a year with exactly as many digits as its maximum width.
  const presentation = rest.join("").replace(letter === "Y" ? /,[^,-]*-(?=\d+$)(.*)$/ : /$^/, ",$1-$1");
  const own = "PFCE".includes(letter) ? "n" : "ms".includes(letter) ? "01" : "1";
  const full = presentation === "" || presentation.startsWith(",") ? own + presentation : presentation;
  return { letter, presentation: full, isName: /^n/i.test(full) };
}

/** Replaces the letters of a picture. `F`, the day of the week, reads the same text without an effect on the result. */
function pictureOf(picture: string, letterAt: (letter: string, index: number) => string): string {
  let index = -1;
  return picture.replaceAll(markers, (marker) => {
    index += 1;
    const { letter, presentation } = markerOf(marker);
    return marker === "[[" || letter === "Z" || letter === "z" ? marker : `[${letterAt(letter, index)}${presentation}]`;
  });
}
