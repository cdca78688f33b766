import { type Patience, until as untilWithin } from "../support/eventually.ts";

/** Waits as long as a case of full size may need, on a machine that is busy with much else. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  { withinMs = 600_000, everyMs = 50 }: Patience = {},
): Promise<number> {
  return await untilWithin(what, holds, { withinMs, everyMs });
}
