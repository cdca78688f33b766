/** How the process ends, for scripts that decide on it. */
export const exitCodes = {
  done: 0,
  error: 1,
  usage: 2,
  unauthorized: 4,
  /** The execution ended ERRORED, STOPPED or TIMED_OUT. */
  notCompleted: 5,
  /** The time to wait was spent before the execution's end. */
  stillRunning: 6,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
