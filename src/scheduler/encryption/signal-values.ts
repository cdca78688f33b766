import type { Sealing } from "./sealing.ts";

/** Where a signal's value is kept. What was encrypted for one wait decrypts for no other. */
export type SignalPlace = { readonly executionId: string; readonly name: string };

const sealedMark = "sealed:";

/** The value of a signal for a node that hides its output. It is encrypted until the execution has ended, and then deleted. */
export function sealSignal(sealing: Sealing, place: SignalPlace, value: string): string {
  return `${sealedMark}${sealing.seal(Buffer.from(value), contextOf(place))}`;
}

/** The inverse of `sealSignal`; a value that is not encrypted stays as it is. Throws where no key decrypts it. */
export function openSignal(sealing: Sealing, place: SignalPlace, value: string): string {
  if (!value.startsWith(sealedMark)) {
    return value;
  }
  const opened = sealing.open(value.slice(sealedMark.length), contextOf(place));
  if (opened === undefined) {
    throw new Error("no encryption key opens what a node was told");
  }
  return opened.toString();
}

function contextOf({ executionId, name }: SignalPlace): string {
  return JSON.stringify(["signal", executionId, name]);
}
