/** Far above what a few milliseconds of work come to anywhere, and far below what holding the thread comes to here. */
export const gapMsMax = 1_000;

/**
 * The longest time for which this thread worked at a stretch during a piece of work, by its own processor time: what else
 * the machine does in between does not count.
 */
export async function longestGapMs(piece: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = process.threadCpuUsage();
  const look = () => {
    const { user, system } = process.threadCpuUsage(last);
    longest = Math.max(longest, (user + system) / 1_000);
    last = process.threadCpuUsage();
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
