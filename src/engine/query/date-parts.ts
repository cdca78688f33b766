/** Reads a text by a picture as JSONata does: milliseconds since 1970, what is left out completed from `now`. */
type Read = (picture: string, now: number) => number | undefined;

/** The markers of a picture, and the doubled brackets that stand for themselves. */
export const markers = /\[\[|\[[^[\]]*\]/g;

/** What the parts that are not read are taken from. */
export const epoch = Date.UTC(2000, 0, 1);

/** What a calendar and a clock show of an instant, by the letters of XPath's pictures. */
const shown: ReadonlyMap<string, (date: Date) => number> = new Map([
  ["M", (date) => date.getUTCMonth() + 1],
  ["D", (date) => date.getUTCDate()],
  ["d", (date) => 1 + Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0)) / 86_400_000)],
  ["H", (date) => date.getUTCHours()],
  ["h", (date) => date.getUTCHours() % 12 || 12],
  ["m", (date) => date.getUTCMinutes()],
  ["s", (date) => date.getUTCSeconds()],
]);

/**
 * Whether a text names a day and a time that exist. JSONata goes on counting where they do not: the 31st of February is
 * the 2nd of March, 25:00 is one o'clock of the next day, and a month that it does not know is January. So each number is
 * read by itself, as a number of seconds, and compared with what the calendar shows.
 *
 * @param millis what the whole picture reads
 */
export function existsAsRead(picture: string, millis: number, read: Read): boolean {
  const nothing = readOffset(picture, read);
  // A picture whose parts cannot be told apart by themselves.
  if (nothing === undefined) return true;
  const local = new Date(millis + epoch - nothing);
  return markersOf(picture).every(({ letter, isName }, index) => {
    const field = shown.get(letter);
    if (field === undefined) return true;
    if (isName) return letter !== "M" || isMonth(local, monthReader({ picture, index, nothing, read }));
    const alone = read(
      pictureOf(picture, (_, at) => (at === index ? "s" : "F")),
      epoch,
    );
    return alone === undefined || (alone - nothing) / 1_000 === field(local);
  });
}

/** What a picture reads of a text's offset alone: the epoch in it. Undefined where that cannot be told apart. */
export function readOffset(picture: string, read: Read): number | undefined {
  return read(
    pictureOf(picture, () => "F"),
    epoch,
  );
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
  const presentation = rest.join("");
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
