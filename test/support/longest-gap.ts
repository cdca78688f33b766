/** Far above what a busy machine makes of a few milliseconds, and far below what holding the thread comes to here. */
export const gapMsMax = 2_000;

/** The longest time in which this thread did nothing but a piece of work and what is under way beside it. */
export async function longestGapMs(piece: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 5);
  try {
    await piece();
  } finally {
    look();
    clearInterval(timer);
  }
  return longest;
}
