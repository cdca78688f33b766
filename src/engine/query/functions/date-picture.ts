/** Reads a text by a picture as JSONata does: milliseconds since 1970, what is left out completed from `now`. */
type Read = (picture: string, now: number) => number | undefined;

/** The markers of a picture, and the doubled brackets that stand for themselves. */
export const markers = /\[\[|\[[^[\]]*\]/g;

/** What the parts that are not read are taken from. */
export const epoch = Date.UTC(2000, 0, 1);

/** Reads another text. */
type Reads = (text: string) => Read;

/** Writes an instant by a picture as JSONata does. */
type Write = (picture: string, millis: number) => string;

/** The letters of what a calendar and a clock show as a number. Of a year a text may have its last digits alone. */
const numbered = "MDdHhmsWwXxF";

/**
 * Whether a text names a day and a time that exist. JSONata goes on counting where they do not: the 31st of February is
 * the 2nd of March, 25:00 is one o'clock of the next day, and a month that it does not know is January. It leaves out what
 * it cannot read, as the number of a week. So each number is read by itself, as a number of seconds, and compared with what
 * JSONata writes for it.
 *
 * @param millis what the whole picture reads
 */
export function existsAsRead(
  picture: string,
  millis: number,
  { text, reads, write }: { readonly text: string; readonly reads: Reads; readonly write: Write },
): boolean {
  const read = reads(text);
  const nothing = readOffset(picture, read);
  // A picture whose parts cannot be told apart by themselves.
  if (nothing === undefined) return true;
  const local = new Date(millis + epoch - nothing);
  const alone = (letter: string, index: number) => pictureOf(picture, (_, at) => (at === index ? letter : "F"));
  return markersOf(picture).every(({ letter, isName }, index) => {
    if (letter === "P") return isHalf(text, (source) => reads(source)(alone("P", index), epoch));
    if (!numbered.includes(letter)) return true;
    if (isName) return letter !== "M" || isMonth(local, monthReader({ picture, index, nothing, read }));
    const number = read(alone("s", index), epoch);
    return number === undefined || (number - nothing) / 1_000 === Number(write(`[${letter}1]`, local.getTime()));
  });
}

/** What a picture reads of a text's offset alone: the epoch in it. Undefined where that cannot be told apart. */
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

/** Whether a text says am or pm where it is read: what is neither, as `Pm`, JSONata takes for am. */
function isHalf(text: string, read: (source: string) => number | undefined): boolean {
  const found = read(text);
  return [...text.matchAll(/am|pm|AM|PM/g)].some(({ index, 0: half }) => {
    const swapped = otherHalves.get(half) ?? half;
    const other = read(text.slice(0, index) + swapped + text.slice(index + half.length));
    return other !== undefined && other !== found;
  });
}

/**
 * The offset that a text has, where JSONata reads one: the part whose sign decides by twice its hours.
 *
 * @param millis what is read of the text by this
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
    if (other !== undefined && millis - other === (isWest ? twiceMs : -twiceMs))
      return { isWest, minutes: Number(minutes) };
  }
  return undefined;
}

type Part = { readonly picture: string; readonly index: number; readonly nothing: number; readonly read: Read };

/** Reads the name of a month by itself; what is no name is the month of the day that it is completed from. */
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

/** The parts of `[D01,2-2]`: blanks in it say nothing, and what it does not say of its form is the letter's own. */
function markerOf(marker: string): Marker {
  const [letter = "", ...rest] = marker.slice(1, -1).replaceAll(/\s/g, "");
  // As JSONata reads a year, it has as many digits as it may have at most.
  const presentation = rest.join("").replace(letter === "Y" ? /,[^,-]*-(?=\d+$)(.*)$/ : /$^/, ",$1-$1");
  const own = "PFCE".includes(letter) ? "n" : "ms".includes(letter) ? "01" : "1";
  const full = presentation === "" || presentation.startsWith(",") ? own + presentation : presentation;
  return { letter, presentation: full, isName: /^n/i.test(full) };
}

/** A picture in which other letters stand for the same texts. `F`, the day of the week, is read and counts for nothing. */
function pictureOf(picture: string, letterAt: (letter: string, index: number) => string): string {
  let index = -1;
  return picture.replaceAll(markers, (marker) => {
    index += 1;
    const { letter, presentation } = markerOf(marker);
    return marker === "[[" || letter === "Z" || letter === "z" ? marker : `[${letterAt(letter, index)}${presentation}]`;
  });
}
