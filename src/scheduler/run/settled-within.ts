import type { Clock } from "../../domain/clock.ts";
import { noLongerNeeded } from "../../domain/no-longer-needed.ts";

/** Answers undefined where the time is over, or the signal aborts, before the promise settles. */
export async function settledWithin<Value>(
  promise: Promise<Value>,
  { ms, signal, clock }: { readonly ms: number; readonly signal: AbortSignal; readonly clock: Clock },
): Promise<Value | undefined> {
  if (signal.aborted) return undefined;
  const settled = new AbortController();
  const over = Promise.withResolvers<undefined>();
  const giveUp = () => over.resolve(undefined);
  signal.addEventListener("abort", giveUp, { once: true });
  void clock.wait(ms, settled.signal).then(giveUp, giveUp);
  try {
    return await Promise.race([promise, over.promise]);
  } finally {
    settled.abort(noLongerNeeded);
    signal.removeEventListener("abort", giveUp);
  }
}
