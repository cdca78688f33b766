import { existsSync } from "node:fs";

/** Where Debian's package libfaketime has it, on the machines that this is run on. */
const libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(
  (machine) => `/usr/lib/${machine}/faketime/libfaketimeMT.so.1`,
);

/** The library that changes what a process takes the time to be; undefined where the machine has none. */
export function faketimeLibrary(): string | undefined {
  return libraries.find((library) => existsSync(library));
}

/** The environment of a process whose clock is so many seconds ahead, or behind; what it measures times with is right. */
export function shiftedClock(library: string, seconds: number): Readonly<Record<string, string>> {
  return { LD_PRELOAD: library, FAKETIME: shiftOf(seconds), FAKETIME_DONT_FAKE_MONOTONIC: "1" };
}

function shiftOf(seconds: number): string {
  return `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}`;
}
