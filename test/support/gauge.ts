/*
 * Loaded into a server's process before its own code. Asked by a message, it tells what the process has cost since it was
 * asked last.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";

export type Cost = {
  /** The most memory that the process had of the machine. */
  readonly rssBytes: number;
  /** The longest time in which nobody was served. */
  readonly stallMs: number;
};

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
let rssBytes = 0;
setInterval(() => {
  rssBytes = Math.max(rssBytes, process.memoryUsage.rss());
}, 5).unref();

process.on("message", () => {
  const cost: Cost = { rssBytes: Math.max(rssBytes, process.memoryUsage.rss()), stallMs: delay.max / 1e6 };
  rssBytes = 0;
  delay.reset();
  process.send?.(cost);
});
process.channel?.unref();
