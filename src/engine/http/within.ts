/**
 * Settles as the work does, but rejects with the signal's reason as soon as it aborts. For work that cannot be ended,
 * only left behind: a lookup, or a wait for a connection. The signal has to be one that lives no longer than the work.
 */
export function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}
